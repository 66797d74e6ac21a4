"""The commands `campaigns`, `ledger` and `report`."""
