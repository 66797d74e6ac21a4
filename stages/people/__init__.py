"""The people stage: who is there, what is known of each, and who looks."""
