"""Reports on plays, money and audiences: queries, shapes, pictures and OpenRTB objects."""
