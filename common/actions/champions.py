"""A person's choice of a version, proved on the conditions first."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from common import broker
from common.contracts.conditions import ConditionRecord
from common.contracts.models import ChampionRecord
from common.models import registry
from common.models.proving import proved_conditions
from common.store import Store

Chosen = tuple[ChampionRecord, list[ConditionRecord]]
"""The new champion, and the conditions that it is not proved on."""

Say = Callable[[str], None]


def roll_back(store: Store, model: str, *, by: str, say: Say) -> Chosen:
    """Go one version further back, and hold the model there; see `common.models.registry.roll_back`.

    Parameters
    ----------
    say : is told which condition is proved, which takes a few seconds each
    """
    return _told(registry.roll_back(store, model, _prover(say), by=by))


def promote(store: Store, model: str, version: int, *, by: str, say: Say) -> Chosen:
    """Make an earlier version champion again, and hold the model there; otherwise as `roll_back`."""
    return _told(registry.promote_by_hand(store, model, version, _prover(say), by=by))


def _prover(say: Say) -> registry.Proof:
    def prove(version: ChampionRecord, conditions: Sequence[ConditionRecord]) -> Sequence[ConditionRecord]:
        for condition in conditions:
            say(f"proving v{version.version} on {condition.cause} of {condition.stream} ...")
        return proved_conditions(version, conditions)

    return prove


def _told(chosen: Chosen) -> Chosen:
    """Have the incidents of dropped conditions brought up to date now, not with their streams' next frames."""
    for condition in chosen[1]:
        broker.send_reduce(condition.stream)
    return chosen
