"""Search for faces that are too small to be seen in a whole frame, part by part, within a budget."""
