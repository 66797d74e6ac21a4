"""Statistics of the people who come to a station, kept as numbers in one file."""
