"""Throughput and latency of every stage, beside the bare call."""
