"""Honest measurement: figures of a model on photos that it has not seen."""
