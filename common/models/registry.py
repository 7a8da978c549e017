"""Changing the champion: by the gate, or by a person. A person's choice holds until the model is released."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import redis

from common.contracts.conditions import ConditionRecord
from common.contracts.events import ChampionPromoted, Event
from common.contracts.models import ChampionRecord, Hold
from common.errors import NotPromoted
from common.models import folders
from common.models.condition_records import dropped_event
from common.models.gate import Decision, after_loss
from common.models.incident_actions import rollback_note
from common.models.protocols import Model
from common.store import Store

log = logging.getLogger(__name__)

Proof = Callable[[ChampionRecord, Sequence[ConditionRecord]], Sequence[ConditionRecord]]
"""Returns those of the conditions that a version of a model is proved on."""


def register_first(
    store: Store, name: str, model: Model, over: ChampionRecord | None, state_dir: Path
) -> ChampionRecord:
    """Save a model that was fitted to golden footage, and make it the first champion of its line.

    Parameters
    ----------
    over : the champion whose model cannot be used any more, because a version before 0.3 made it, which kept none, or
        its architecture is outdated; its conditions end. None: there is none

    Raises
    ------
    NotPromoted
        If another champion came first. The model's files are then removed.
    """
    record = ChampionRecord(
        model=name,
        version=over.version + 1 if over else 1,
        model_path=None,
        model_digest=None,
        parent=None,
        reason="fitted to golden footage",
        gain_db=None,
        loss_db=None,
        created_at=time.time(),
        ended=(*over.ended, *over.conditions) if over else (),
    )
    return _save_and_publish(
        store, record, model, over=over, dropped=over.conditions if over else (), state_dir=state_dir
    )


def promote(
    store: Store,
    over: ChampionRecord,
    challenger: Model,
    conditions: Sequence[ConditionRecord],
    *,
    decision: Decision,
    evidence: Path,
    evidence_digest: str,
    state_dir: Path,
    ended: Sequence[ConditionRecord] = (),
) -> ChampionRecord:
    """Save a challenger, and make it champion with the conditions that it is proved on, in one step.

    Parameters
    ----------
    over : the champion that the challenger was compared with
    conditions : all that the challenger is proved on, old and new
    decision : of the gate; its reason and figures are stored in the record
    evidence, evidence_digest : folder of the decision, and what `save_decision` returned
    ended : conditions that it is not proved on any more, and that are remembered

    Raises
    ------
    NotPromoted
        If `over` is no longer champion, or its conditions have changed: one that was dropped meanwhile must not come
        back, and one that was added is not proved. The challenger's files are then removed.
    """
    record = ChampionRecord(
        model=over.model,
        version=over.version + 1,
        model_path=None,
        model_digest=None,
        parent=over.version,
        reason=decision.reason,
        gain_db=decision.gain_db,
        loss_db=decision.loss_db,
        lost_db=after_loss(over.lost_db, decision.loss_db),
        created_at=time.time(),
        decision=str(evidence),
        decision_digest=evidence_digest,
        conditions=tuple(conditions),
        ended=tuple(ended),
    )
    return _save_and_publish(store, record, challenger, over=over, state_dir=state_dir)


def roll_back(store: Store, model: str, prove: Proof, *, by: str) -> tuple[ChampionRecord, list[ConditionRecord]]:
    """Go one version further back, and hold the model there.

    Parameters
    ----------
    prove : tries the older version on the conditions; those that it is not proved on are dropped, and their incidents
        say so
    by : the person who wants it

    Returns
    -------
    The new champion's record, and the conditions that were dropped.

    Raises
    ------
    NotPromoted
        If there is no earlier version, or the champion or its conditions were changed meanwhile.
    """
    history = history_of(store, model)
    target = version_before(history)
    if target is None:
        raise NotPromoted(
            f"model {model!r} has no version before the one that is champion: see `sentinel champions list`, "
            "or choose any other with `sentinel champions promote`"
        )
    reason = f"rolled back from version {history[-1].version} to version {target}"
    return _choose(store, history, target, reason, prove, by=by)


def promote_by_hand(
    store: Store, model: str, version: int, prove: Proof, *, by: str
) -> tuple[ChampionRecord, list[ConditionRecord]]:
    """Make any earlier version the champion again, and hold the model there; otherwise as `roll_back`.

    Raises
    ------
    NotPromoted
        If there is no such version, or another promotion came first.
    """
    return _choose(store, history_of(store, model), version, f"version {version} promoted by hand", prove, by=by)


def roll_back_worse(
    store: Store, champion: ChampionRecord, version: int, reason: str, prove: Proof
) -> tuple[ChampionRecord, list[ConditionRecord]]:
    """Make a version before a champion that turned out worse champion again; otherwise as `roll_back`.

    Raises
    ------
    NotPromoted
        If it is no longer champion.
    """
    history = history_of(store, champion.model)
    if history[-1].version != champion.version:
        raise NotPromoted(f"v{champion.version} of model {champion.model!r} is no longer champion")
    return _choose(store, history, version, reason, prove, by="sentinel")


def release(store: Store, model: str) -> None:
    """Release `model`, so that incidents lead to retrainings again, including those that came during the hold.

    Raises
    ------
    NotPromoted
        If the model is not held.
    """
    if not store.champions.release(model):
        raise NotPromoted(f"model {model!r} is not held, there is nothing to release: see `sentinel champions list`")


def version_before(history: Sequence[ChampionRecord]) -> int | None:
    """Return the version that a rollback makes champion; None if there is no earlier one.

    A rollback or a promotion by hand adds a new version with the weights of an
    older one. Call the first version with the same weights its origin. The
    target is the origin of the version that the champion's origin replaced. So
    repeated rollbacks go back one step each, and never return to a version that
    was rolled back from.

    Parameters
    ----------
    history : every version of one model, oldest first; at least one
    """
    origins: dict[tuple[str | None, str | None], ChampionRecord] = {}
    for record in history:
        origins.setdefault(_content(record), record)
    by_version = {record.version: record for record in history}
    parent = origins[_content(history[-1])].parent
    replaced = None if parent is None else by_version.get(parent)
    if replaced is None or replaced.model_digest is None:
        return None  # versions of before 0.3 had no weights that this one can use
    return origins[_content(replaced)].version


def _content(record: ChampionRecord) -> tuple[str | None, str | None]:
    return record.model_path, record.model_digest


def history_of(store: Store, model: str) -> list[ChampionRecord]:
    """Return every version of a model, oldest first; raise `NotPromoted` if there is none."""
    history = store.champions.history(model)
    if not history:
        known = ", ".join(store.champions.models()) or "none"
        raise NotPromoted(f"there is no model {model!r} (there are: {known}): see `sentinel champions list`")
    return history


def _choose(
    store: Store, history: Sequence[ChampionRecord], version: int, reason: str, prove: Proof, *, by: str
) -> tuple[ChampionRecord, list[ConditionRecord]]:
    champion = history[-1]
    chosen = next((record for record in history if record.version == version), None)
    if chosen is None:
        known = ", ".join(f"v{record.version}" for record in history)
        raise NotPromoted(f"model {champion.model!r} has no version {version} (there are: {known})")
    if chosen.model_digest is None:
        raise NotPromoted(
            f"version {version} of model {champion.model!r} was made before 0.3 and has no weights that can be used"
        )
    lost = {row.id: row.lost_db for row in chosen.conditions}  # what later versions lost on one is gone with them
    kept = [
        row.model_copy(update={"lost_db": lost.get(row.id, row.lost_db)}) for row in prove(chosen, champion.conditions)
    ]
    dropped = [condition for condition in champion.conditions if condition.id not in {c.id for c in kept}]
    now = time.time()
    record = chosen.model_copy(
        update={
            "version": champion.version + 1,
            "parent": champion.version,
            "reason": reason,
            "created_at": now,
            "conditions": tuple(kept),
            "ended": (*champion.ended, *dropped),
        }
    )
    hold = Hold(model=record.model, version=record.version, reason=reason, since=now)
    _publish(store, record, over=champion, hold=hold, dropped=dropped, by=by)
    return record, dropped


def _save_and_publish(
    store: Store,
    record: ChampionRecord,
    model: Model,
    *,
    over: ChampionRecord | None,
    state_dir: Path,
    dropped: Sequence[ConditionRecord] = (),
) -> ChampionRecord:
    folder = folders.version_folder(state_dir, record.model, record.version)
    store.champions.begin_folder(record.model, folder.name)
    try:
        model.save(folder / "model")
        saved = record.model_copy(update={"model_path": str(folder / "model"), "model_digest": model.digest})
        return _publish(store, saved, over=over, dropped=dropped)
    except redis.RedisError:
        raise  # the promotion may have succeeded; if it did not, `remove_unfinished` removes the folder
    except BaseException:
        folders.discard(store.champions, record.model, folder)
        raise


def _publish(
    store: Store,
    record: ChampionRecord,
    *,
    over: ChampionRecord | None,
    hold: Hold | None = None,
    dropped: Sequence[ConditionRecord] = (),
    by: str = "sentinel",
) -> ChampionRecord:
    """Make a record the champion, and say in the same step which conditions that drops."""
    events: list[Event] = [ChampionPromoted.about(record, model=record.model)]
    events += [dropped_event(record.model, condition) for condition in dropped]
    notes = [rollback_note(condition, record, by=by) for condition in dropped]
    if not store.champions.promote(record, over=over or 0, announce=events, notes=notes, hold=hold):
        raise NotPromoted(
            f"model {record.model!r} or its conditions were changed by somebody else meanwhile: look again and retry"
        )
    return record
