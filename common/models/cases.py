"""The incidents that a retraining works on, and what comes of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from common.baselines.storage import StoredBaseline
from common.contracts.incidents import Action, Incident
from common.contracts.verdicts import Cause
from common.drift.stretches import Stretch
from common.models.material import Material


@dataclass
class Outcome:
    """How a retraining ended.

    Attributes
    ----------
    sentences : one per stretch or condition
    healed : streams of which something was healed, or a condition was decided on
    in_vain : streams of which footage was read and refused, whose challenger was not promoted, or for which it broke
    refused : whether anything was refused, be it before any of its frames was read
    """

    sentences: list[str] = field(default_factory=list)
    healed: set[str] = field(default_factory=set)
    in_vain: set[str] = field(default_factory=set)
    refused: bool = False

    @property
    def rejected(self) -> bool:
        """Whether nothing was healed and something was refused."""
        return self.refused and not self.healed

    def settled_as(self, stream: str) -> Literal["promoted", "rejected", "idle"]:
        """How a stream that waited is settled.

        What was refused before a frame was read has cost nothing, so it does not make the stream wait longer: its
        next fault may be one that can be healed.
        """
        if stream in self.healed:
            return "promoted"
        return "rejected" if stream in self.in_vain else "idle"

    def heal(self, stream: str, sentence: str) -> None:
        """Add that something of a stream was healed."""
        self.sentences.append(sentence)
        self.healed.add(stream)

    def refuse(self, stream: str, sentence: str, *, in_vain: bool = True) -> None:
        """Add that something of a stream was refused; `in_vain`: after work on its footage."""
        self.sentences.append(sentence)
        self.refused = True
        if in_vain:
            self.in_vain.add(stream)

    @contextmanager
    def attempt(self, streams: Sequence[str]) -> Iterator[None]:
        """Do work for `streams`, which was in vain for them if it breaks."""
        try:
            yield
        except Exception:
            self.in_vain.update(streams)
            raise


@dataclass
class Case:
    """An incident that is worked on: its action, what of it may be read, can be trained on, and what came of it."""

    incident: Incident
    action: Action
    chosen: list[tuple[StoredBaseline, Stretch, Cause]] = field(default_factory=list)
    materials: list[Material] = field(default_factory=list)
    outcomes: list[str] = field(default_factory=list)
