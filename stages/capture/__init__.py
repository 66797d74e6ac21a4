"""Capture: cameras, streams, films and pictures become frames in shared memory."""
