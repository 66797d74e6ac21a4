"""Who is in front of the screen, now and by hour."""
