"""Training: from labelled photos to a network that knows them."""
