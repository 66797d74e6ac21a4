"""Form of the sound that SDL plays here."""

RATE_HZ = 48_000
BYTES = 4
"""Bytes of one moment of sound: two channels of 16 bits."""
LONGEST_S = 120
"""Longest sound that is decoded, at 192 kB a second. The rest of a longer film is silent."""
