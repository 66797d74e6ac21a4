"""What a station does with a frame: capture, detect, classify."""
