"""Training: from labelled photos to models that a station can load."""
