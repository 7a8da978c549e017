"""Whoever sends without end, too slowly, or nonsense: what of it is bounded. `make hostile` runs it for long."""
