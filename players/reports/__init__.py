"""What the ledger tells: plays, billing, audience and OpenRTB."""
