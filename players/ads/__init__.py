"""Campaign files, their media, and the catalogue of lines they make."""
