"""What a baseline that was learned over days knows, in words."""

from __future__ import annotations

import math

from common.contracts.coverage import Coverage
from common.drift.baseline import Baseline
from common.drift.coverage import coverage_of, hours_text
from common.drift.learned import NEEDED_NULL

_FEW_DAYS = 3.0  # fewer are told: bounds are then up to twice as wide
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def learned_in_words(baseline: Baseline, given: int) -> list[str]:
    """Return lines that say what a learned baseline covers, and what it does not; none for one of clips.

    Parameters
    ----------
    given : bursts that it was made from
    """
    if baseline.learned is None:
        return []
    coverage = coverage_of(baseline.learned.bursts)
    lines = [f"learned as days: {in_words(coverage)}"]
    if given > coverage.bursts:
        lines.append(f"{given - coverage.bursts} of {given} bursts look faulty beside others of their hour: left out")
    if len(baseline.learned.null) < NEEDED_NULL:
        lines.append(f"fewer than {NEEDED_NULL} bursts can be compared: all verdicts are provisional")
    elif coverage.unknown_hours:
        lines.append(
            f"not known are the hours {hours_text(coverage.unknown_hours)} UTC: verdicts there are provisional; "
            "give footage of them too"
        )
    if coverage.days < _FEW_DAYS:
        lines.append(f"known for {coverage.days:.1f} days: another day's weather may fail; give three days or more")
    return lines


def coverage_rows(coverage: Coverage) -> list[tuple[str, str]]:
    """Return a coverage as names and values, for a table."""
    rows = [
        ("bursts", str(coverage.bursts)),
        ("days", f"{coverage.days:.1f} on average of a known hour"),
        ("hours known, UTC", hours_text(coverage.known_hours) or "none"),
        ("hours not known, UTC", hours_text(coverage.unknown_hours) or "none"),
        ("weekdays", _weekdays(coverage)),
        ("light", _light(coverage)),
        ("seen in", _seen(coverage)),
    ]
    if coverage.rate_text:
        rows.append(("false alarms per camera-day", f"at most {coverage.rate_text} (upper 95% bound)"))
    return rows


def _weekdays(coverage: Coverage) -> str:
    return " ".join(name for name, count in zip(_WEEKDAYS, coverage.weekdays, strict=True) if count)


def _light(coverage: Coverage) -> str:
    if coverage.light_from is None or coverage.light_to is None:
        return ""
    return f"{(coverage.light_to - coverage.light_from) / math.log(2):.1f} stops from darkest to brightest"


def _seen(coverage: Coverage) -> str:
    return " and ".join(name for name, was in (("colour", coverage.colour), ("infra-red", coverage.infrared)) if was)


def in_words(coverage: Coverage) -> str:
    """Return a coverage on one line."""
    parts = [
        f"{coverage.bursts} bursts",
        f"hours {hours_text(coverage.known_hours)} UTC" if coverage.known_hours else "no hour",
        f"each on {coverage.days:.1f} days",
        _weekdays(coverage),
        _light(coverage),
        _seen(coverage),
    ]
    if coverage.rate_text:
        parts.append(f"at most {coverage.rate_text} false alarms per camera-day (upper 95% bound)")
    return ", ".join(part for part in parts if part)
