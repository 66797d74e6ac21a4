"""Views of a station for its operator: snapshot, terminal, summary, drawing and doctor."""
