"""Commands that run stages without a station, on recorded videos."""
