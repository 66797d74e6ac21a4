"""Proof of play: the durable, hash-chained record of every play."""
