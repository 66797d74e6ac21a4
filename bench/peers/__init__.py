"""Libraries and programs of others that the benches compare with."""
