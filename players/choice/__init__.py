"""The choice of the ad for the people present, its history and its simulation."""
