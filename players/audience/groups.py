"""Names and indices of genders, decades and years of age, as arrays of people are laid out."""

from pipeline.messages import DECADES

GENDERS = ("M", "F", "unknown")
UNKNOWN_GENDER = 2
UNKNOWN_AGE = len(DECADES)
MINOR_DECADES = (0, 1)
"""Under 20: the classifier tells decades, and within 10-19 it cannot tell 17 from 19."""
MAX_AGE_YEARS = 120
