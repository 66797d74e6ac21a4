"""Command `python -m bench`, the same as `stationcast bench`."""

import sys

from pipeline.cli import main

sys.argv.insert(1, "bench")
main()
