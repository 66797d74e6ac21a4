"""`python -m bench`."""

from bench.commands import bench

bench()
