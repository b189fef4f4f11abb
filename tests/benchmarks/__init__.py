"""Measurements that are too long for tests; each is a command that prints its figures."""
