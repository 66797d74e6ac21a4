"""Stations, cameras, faces, ads and displays made for measuring."""
