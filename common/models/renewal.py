"""Conditions that will expire are proved again, on fresh footage that matches them, or let go."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from common.contracts.conditions import ConditionRecord
from common.contracts.models import ChampionRecord
from common.drift.stretches import Stretch, join_windows
from common.errors import NothingToLearnFrom, Refused
from common.models import condition_records
from common.models.cases import Outcome
from common.models.material import FEWEST_HELD_OUT, expiry, fit_examples
from common.models.proof import prove
from common.models.protocols import Model, ModelKind
from common.settings import Settings
from common.store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Fresh:
    """The latest footage that matched a condition, and when it was taken, seconds since the epoch."""

    condition: ConditionRecord
    stretch: Stretch
    taken_at: float


def expiring(store: Store, streams: Sequence[str], champion: ChampionRecord) -> list[Fresh]:
    """Return fresh footage of those conditions of `streams` that are in the second half of their life."""
    found = []
    for condition in champion.conditions:
        fresh = _fresh_footage(store, condition) if condition.stream in streams else None
        if fresh is not None and fresh.taken_at > (condition.proved + condition.expires) / 2:
            found.append(fresh)
    return found


def _fresh_footage(store: Store, condition: ConditionRecord) -> Fresh | None:
    rows = [
        (window, block)
        for incident in store.streams.incidents(condition.stream)
        for window in incident.windows
        if window.condition == condition.id
        and (block := store.streams.evidence(condition.stream, window.event_id)) is not None
    ]
    if not rows:
        return None
    stretch = max(join_windows(condition.stream, rows), key=lambda stretch: (len(stretch.block), stretch.first))
    taken_at = stretch.block.capture_time(-1)
    return Fresh(condition, stretch, time.time() if taken_at is None else taken_at)


def renew(
    store: Store,
    settings: Settings,
    kind: ModelKind[Model],
    champion: ChampionRecord,
    model: Model,
    fresh: Fresh,
    outcome: Outcome,
) -> ChampionRecord:
    """Prove the champion on fresh footage of a condition; return its record afterwards.

    Parameters
    ----------
    outcome : of the retraining; what came of it is added
    """
    stream = fresh.condition.stream
    with outcome.attempt([stream]):
        champion, sentence, decided = _prove_again(store, settings, kind, champion, model, fresh)
    if decided:
        outcome.heal(stream, sentence)
    else:
        outcome.sentences.append(sentence)
    return champion


def _prove_again(
    store: Store, settings: Settings, kind: ModelKind[Model], champion: ChampionRecord, model: Model, fresh: Fresh
) -> tuple[ChampionRecord, str, bool]:
    """Prove the champion on fresh footage of a condition, against the references alone.

    Where it is proved, the condition's life begins anew; where it is not, the condition is let go. Footage that
    cannot be read or is too short changes nothing: the condition then expires when it would have.

    Returns
    -------
    The champion's record afterwards, a sentence about what came of it, and whether the condition was decided on.
    """
    condition = fresh.condition
    about = f"condition {condition.cause} of {condition.stream}"
    try:
        examples = fit_examples(kind, fresh.stretch, settings, settings.retrain_max_triplets)
        if len(examples) < FEWEST_HELD_OUT:
            raise NothingToLearnFrom(f"{len(examples)} examples are too few, {FEWEST_HELD_OUT} are needed")
    except Refused as error:
        log.warning("%s is not proved again yet: %s", about, error)
        return champion, f"{about} is not proved again yet: {error}", False
    proof = prove(kind, model, examples)
    if not proof.proved:
        condition_records.end_conditions(store, champion.model, lambda row: row.id == condition.id)
        return store.champions.champion(champion.model) or champion, f"{about} let go: {proof.reason}", True
    renewed = condition.model_copy(
        update={"gain_db": proof.gain_db, "proved": fresh.taken_at, "expires": expiry(fresh.taken_at, settings)}
    )
    champion = condition_records.add_conditions(store, champion, [renewed])
    return champion, f"{about} proved again: {proof.reason}", True
