"""The incidents that a retraining works on, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from common.contracts.incidents import Action, Incident
from common.models.material import Material


@dataclass
class Outcome:
    """How a retraining ended: a sentence per stretch or condition, and whether anything was healed or refused."""

    sentences: list[str] = field(default_factory=list)
    healed: bool = False
    refused: bool = False

    @property
    def settled_as(self) -> Literal["promoted", "rejected", "idle"]:
        """How the streams that waited are settled."""
        if self.healed:
            return "promoted"
        return "rejected" if self.refused else "idle"

    def add(self, sentence: str, *, healed: bool) -> None:
        self.sentences.append(sentence)
        self.healed |= healed
        self.refused |= not healed


@dataclass
class Case:
    """An incident that is worked on: its action, what can be trained on, and what came of it."""

    incident: Incident
    action: Action
    materials: list[Material] = field(default_factory=list)
    outcomes: list[str] = field(default_factory=list)
