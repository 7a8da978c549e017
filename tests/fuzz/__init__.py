"""Mutated events and files against the real doors: everything is accounted for, and nothing dies that loses work."""
