"""Models: cards, files, the crop routine, inference, data sets, training and evaluation."""

import os

# ONNX Runtime reports its use to its maker from 1.29 on. An older release is pinned; this holds back a newer one.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
