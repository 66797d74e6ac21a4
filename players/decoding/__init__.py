"""Decoding of media for a screen, in processes with limits that have neither the screen nor the ledger."""
