"""What the benches are run on: stations, cameras, faces, ads and displays made for measuring."""
