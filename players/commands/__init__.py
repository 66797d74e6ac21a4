"""The commands about campaigns, the ledger and reports."""
