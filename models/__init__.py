"""Models: cards, files, the one crop routine, inference, training and honest evaluation."""

import os

# ONNX Runtime reports its use to its maker from 1.29 on; an older one is pinned, and a newer one is told not to.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
