"""Evaluation: figures of models on photos that they have not seen."""
