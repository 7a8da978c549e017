"""Conditions: drifted footage of one stream that a champion is proved on."""

from __future__ import annotations

from pydantic import Field

from common.contracts.ids import Message, StreamName
from common.contracts.verdicts import Cause

_REMEMBERED_LIVES = 4  # for so many times its life an expired condition still keeps a growing fault from being learned


class ConditionRecord(Message):
    """A condition as a champion's record names it, while that champion is proved on it.

    The footage itself, as features and held-out examples, is in the folder at `path`
    (`common.models.conditions`). Times are capture times, seconds since the epoch; where
    the footage has none, the time at which it was judged.
    """

    id: str
    stream: StreamName
    cause: Cause = Field(description="what the judge named on the stretch of footage")
    incident: str = Field(description="id of the incident that the footage belongs to")
    golden_id: str = Field(description="digest of the golden baseline that the footage fails")
    path: str = Field(description="folder of its features and examples")
    digest: str = Field(description="of that folder's content")
    gain_db: float = Field(description="gain of the champion over the strongest reference on its examples, dB")
    lost_db: float = Field(
        0.0, ge=0, description="what promotions have lost on its examples since a champion was first proved on it, dB"
    )
    proved: float = Field(description="capture time of the latest footage that the champion was proved on")
    expires: float = Field(description="capture time from which it no longer counts, unless it is proved again")

    def is_live(self, at: float) -> bool:
        """Return whether it counts for footage taken at `at`, seconds since the epoch.

        Footage from longer before than its life is none that it was proved for: a camera's clock was set back.
        """
        return 2 * self.proved - self.expires <= at < self.expires

    def is_forgotten(self, at: float) -> bool:
        """Return whether it expired so long before `at` that it no longer tells new footage from a fault that grows."""
        return at > self.expires + _REMEMBERED_LIVES * (self.expires - self.proved)
