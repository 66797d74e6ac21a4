"""What the operator sees of a station: snapshot, terminal, summary, drawing and doctor."""
