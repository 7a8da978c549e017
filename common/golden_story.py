"""What people said of a stream's golden baseline, in words."""

from __future__ import annotations

from common.contracts.golden import GoldenChange, GoldenRecord
from common.moments import clock


def history_text(record: GoldenRecord) -> str:
    """Return what a record of a stream's history says, on one line."""
    why = f": {record.why}" if record.why else ""
    if record.change is GoldenChange.UNDONE:
        return f"{record.number}. {clock(record.at)} {record.by} undid acceptance {record.undoes}{why}"
    seen = ", ".join(f"{cause} {count}" for cause, count in sorted(record.causes.items()))
    return f"{record.number}. {clock(record.at)} {record.by} accepted {record.frames} frames ({seen}){why}"
