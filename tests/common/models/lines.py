"""Lines of champions, made as the gate, a person, or a version before 0.3 makes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from common.contracts.conditions import ConditionRecord
from common.contracts.events import EventType
from common.contracts.models import ChampionRecord
from common.models.protocols import Examples
from common.settings import Settings
from common.store import Store
from tests.common.builders import condition_record, record

NOISE, BLUR = condition_record("noise"), condition_record("blur")
ELSEWHERE = condition_record("noise", stream="gate")


class PaperModel:
    """A model that is a file."""

    digest = "paper"

    def predict(self, examples: Examples) -> npt.NDArray[np.uint8]:
        raise NotImplementedError

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "model").touch()


def on_all(version: ChampionRecord, conditions: Sequence[ConditionRecord]) -> Sequence[ConditionRecord]:
    """A version that is proved on everything."""
    return conditions


def on_none(version: ChampionRecord, conditions: Sequence[ConditionRecord]) -> Sequence[ConditionRecord]:
    return []


def by_gate(store: Store, *conditions: ConditionRecord, name: str = "") -> ChampionRecord:
    """Promote as a retraining does, with weights of their own."""
    champion = store.champions.champion("vfi")
    version = champion.version + 1 if champion else 1
    place = f"/v{version}{name}"
    new = record(version, parent=version - 1 or None, model_path=place, model_digest=place, conditions=conditions)
    assert store.champions.promote(new, over=version - 1)
    return new


def old_line(store: Store, versions: int = 1) -> ChampionRecord:
    """Champions of a version before 0.3, whose weights nobody can use."""
    for version in range(1, versions + 1):
        old = record(version, parent=version - 1 or None, model_path=f"/old{version}", model_digest=None)
        assert store.champions.promote(old, over=version - 1)
    return old


def champion(store: Store) -> ChampionRecord:
    found = store.champions.champion("vfi")
    assert found is not None
    assert store.champions.history("vfi")[-1] == found, "the history ends with the champion"
    return found


def announced(store: Store) -> list[EventType]:
    return [event.type for event in store.event_log.events()]


def folders(settings: Settings) -> list[Path]:
    return sorted((settings.state_dir.resolve() / "champions" / "vfi").iterdir())
