"""Genders, decades and years of age, in the order in which arrays of people hold them."""

from pipeline.messages import DECADES

GENDERS = ("M", "F", "unknown")
UNKNOWN_GENDER = 2
"""Index of unknown gender in such arrays."""
UNKNOWN_AGE = len(DECADES)
"""Index of unknown decade in such arrays."""
MINOR_DECADES = (0, 1)
"""Decades of people under 20. The classifier tells decades: it cannot tell 17 from 19."""
MAX_AGE_YEARS = 120
