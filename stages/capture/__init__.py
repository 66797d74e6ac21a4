"""The capture stage: a camera's source, its pace, and the built-in sample camera.

OpenCV reads the two variables when it loads, so they are set here, before any module of this package imports it.
"""

import os

os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET: FFmpeg would print URLs with their passwords
