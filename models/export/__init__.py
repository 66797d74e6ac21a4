"""Export: from a trained network to files that a station loads, ONNX, INT8 and FP16, calibrated, with cards."""
