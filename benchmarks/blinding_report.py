"""What `benchmarks.blinding` counts, and how it prints it."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field

from benchmarks.blinding_footage import NO_SEVERITY, Damage
from benchmarks.machine import machine
from benchmarks.results import save

_WAYS = ("alone", "after", "amid", "together")

Counts = Counter[tuple[str, str, str]]
"""(row of the table, way, what is counted) -> number."""


@dataclass
class Found:
    """What was counted so far, over all clips.

    Attributes
    ----------
    missed : a sentence about each time that a bar was missed
    gated : a sentence about each training on a fault that the gate refused
    unseen : as `missed`, where footage was learned that shows a fault too slight for a confirmed FAIL
    clips : a line about each clip
    """

    counts: Counts = field(default_factory=Counter)
    missed: list[str] = field(default_factory=list)
    gated: list[str] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)
    clips: list[str] = field(default_factory=list)

    def add(self, row: str, way: str, what: str, count: int) -> None:
        self.counts[row, way, what] += count

    def miss(self, sentence: str) -> None:
        self.missed.append(sentence)
        print(f"MISSED: {sentence}", file=sys.stderr, flush=True)

    def note(self, sentence: str) -> None:
        self.unseen.append(sentence)
        print(f"not confirmed alone: {sentence}", file=sys.stderr, flush=True)


def table(found: Found, damages: list[Damage]) -> str:
    """Return what was counted, a row for each fault and severity; figures of all ways, one after the other."""
    lines = [
        "| fault | severity | windows that FAIL before | clips with a confirmed FAIL alone | learned, bar 0 | "
        "tried, the gate refused | learned, not confirmed alone | blinded windows, bar 0 | hidden by noise | "
        "other cause after |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]

    def figures(row: str, what: str, of: str = "", ways: tuple[str, ...] = _WAYS) -> str:
        counts = [f"{found.counts[row, way, what]}" for way in ways]
        return " / ".join(counts) + (f" of {found.counts[row, 'alone', of]}" if of else "")

    for damage in damages:
        row = str(damage)
        cells = [
            damage.fault,
            "-" if damage.severity == NO_SEVERITY else f"{damage.severity}",
            figures(row, "failed", "windows", ("alone",)),
            figures(row, "confirmed", "clips", ("alone",)),
            figures(row, "harmful"),
            figures(row, "refused"),
            figures(row, "unseen"),
            figures(row, "blinded"),
            figures(row, "hidden"),
            figures(row, "renamed"),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def report(found: Found, damages: list[Damage]) -> bool:
    """Print everything; return whether all bars were met."""
    first = {what: found.counts["noise", "first", what] for what in ("conditions", "matched", "windows")}
    elsewhere = {what: found.counts["noise", "elsewhere", what] for what in ("failed", "blinded")}
    beside = found.counts["noise", "together", "conditions"]
    print(machine())
    print("\n".join(found.clips))
    print(f"\nfigures: {' / '.join(_WAYS)}\n\n{table(found, damages)}\n")
    print(
        f"noise that was healed: {first['conditions']} conditions first, {beside} beside faults; later footage of the "
        f"first: {first['matched']} of {first['windows']} windows match; on another stream {elsewhere['blinded']} of "
        f"{elsewhere['failed']} windows that FAILed pass"
    )
    for title, sentences in (
        ("MISSED", found.missed),
        ("not confirmed alone", found.unseen),
        ("the gate refused", found.gated),
    ):
        print("\n".join(f"{title}: {sentence}" for sentence in sentences))
    if not first["conditions"] + beside:
        found.missed.append("nothing was healed")
        print("MISSED: nothing was healed, so nothing could be blinded")
    print("bars: " + ("met" if not found.missed else f"missed {len(found.missed)} times"))
    save(
        "blinding",
        {
            "counts": {" | ".join(key): count for key, count in sorted(found.counts.items())},
            "missed": found.missed,
            "unseen": found.unseen,
            "gated": found.gated,
            "clips": found.clips,
        },
    )
    return not found.missed
