"""From labelled photos to a model to serve: what the extra `[train]` is for."""
