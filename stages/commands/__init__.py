"""Commands that run stages: on recorded videos, and on one camera to calibrate it."""
