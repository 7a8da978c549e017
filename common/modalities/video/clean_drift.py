"""The table of clean drift that video ships: what clean footage of fixed cameras did (`make corpus` makes it)."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from common.contracts.clean_drift import DriftTable

TABLE = Path(__file__).with_name("clean_drift.json")


@cache
def clean_drift() -> DriftTable:
    """Return the table; it is read once per process."""
    return DriftTable.from_json(TABLE.read_bytes())
