"""Chaos on the real stack: processes are killed, messages doubled and poisoned; every frame must count once."""
