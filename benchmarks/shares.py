"""Counts out of totals, and alarms, as the evaluations of the judge print them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from common.contracts.verdicts import Judgement
from common.drift.confirmation import AlarmRule
from common.drift.intervals import share_bounds
from common.drift.windows import WindowState
from common.judging import with_evidence


@dataclass
class Share:
    """A count out of a total, with its 95% bounds."""

    hits: int = 0
    count: int = 0

    def add(self, hit: bool) -> None:
        self.hits += bool(hit)
        self.count += 1

    def __str__(self) -> str:
        if not self.count:
            return "-"
        low, high = share_bounds(self.hits, self.count)
        return f"{self.hits}/{self.count} ({self.hits / self.count:.1%}; {low:.1%} to {high:.1%})"


def total(shares: Iterable[Share]) -> Share:
    """Return the sum of some shares."""
    found = list(shares)
    return Share(sum(share.hits for share in found), sum(share.count for share in found))


@dataclass
class AlarmCount:
    """Counts the alarms that are confirmed on the windows of one stream."""

    rule: AlarmRule
    alarms: int = 0
    _state: WindowState = field(default_factory=WindowState)

    @property
    def confirmed(self) -> bool:
        """Whether the latest FAIL is confirmed."""
        return self._state.fails.confirmed

    def add(self, judgement: Judgement, window: range) -> None:
        """Add the judgement of the frames at `window`, the latest ones."""
        before = self.confirmed
        self._state = with_evidence(self._state, judgement, window, self.rule)
        self.alarms += self.confirmed and not before
