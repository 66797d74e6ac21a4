"""The choice of the ad for the people present, its policies, its history and its simulation."""
