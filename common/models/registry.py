"""Changing the champion: by the gate, or by a person. A person's choice holds until the model is released."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import redis

from common.contracts.events import ChampionPromoted
from common.contracts.models import ChampionRecord, Hold
from common.errors import NotPromoted
from common.models import folders
from common.models.gate import Decision
from common.models.protocols import Model
from common.store import Store


def promote(
    store: Store, over: ChampionRecord, challenger: Model, decision: Decision, state_dir: Path
) -> ChampionRecord:
    """Save a challenger, and make it champion. The baseline stays as it is.

    Parameters
    ----------
    store : where champions are kept
    over : the champion that the challenger was compared with
    challenger : the new model
    decision : of the gate; its reason and figures are stored in the record
    state_dir : SENTINEL_STATE_DIR, below which the files are stored

    Raises
    ------
    NotPromoted
        If `over` is no longer champion. The challenger's files are then removed.
    """
    folder = folders.version_folder(state_dir, over.model, over.version + 1)
    try:
        challenger.save(folder / "model")
        record = ChampionRecord(
            model=over.model,
            version=over.version + 1,
            baseline_path=over.baseline_path,
            baseline_id=over.baseline_id,
            model_path=str(folder / "model"),
            origin_id=over.origin_id,
            parent=over.version,
            reason=decision.reason,
            gain_db=decision.gain_db,
            loss_db=decision.loss_db,
            created_at=time.time(),
        )
        return _publish(store, record, over, hold=None)
    except redis.RedisError:
        raise  # the promotion may have succeeded; if it did not, `remove_orphans` removes the folder
    except BaseException:
        folders.discard(store.champions, over.model, folder)
        raise


def roll_back(store: Store, model: str) -> ChampionRecord:
    """Go one version further back, model and baseline together, and hold the model there.

    Raises
    ------
    NotPromoted
        If there is no earlier version, or another promotion came first.
    """
    history = _history(store, model)
    target = version_before(history)
    if target is None:
        raise NotPromoted(
            f"model {model!r} has no version before the one that is champion: see `sentinel champions list`, "
            "or choose any other with `sentinel champions promote`"
        )
    return _choose(store, history, target, f"rolled back from version {history[-1].version} to version {target}")


def promote_by_hand(store: Store, model: str, version: int) -> ChampionRecord:
    """Make any earlier version the champion again, and hold the model there.

    Raises
    ------
    NotPromoted
        If there is no such version, or another promotion came first.
    """
    return _choose(store, _history(store, model), version, f"version {version} promoted by hand")


def release(store: Store, model: str) -> None:
    """Release `model`, so that FAILs lead to retrainings again, including those that came during the hold.

    Raises
    ------
    NotPromoted
        If the model is not held.
    """
    if not store.champions.release(model):
        raise NotPromoted(f"model {model!r} is not held, there is nothing to release: see `sentinel champions list`")


def version_before(history: Sequence[ChampionRecord]) -> int | None:
    """Return the version that a rollback makes champion; None if there is no earlier one.

    A rollback or a promotion by hand adds a new version with the model and
    baseline of an older one. Call the first version with the same model and
    baseline its origin. The target is the origin of the version that the
    champion's origin replaced. So repeated rollbacks go back one step each, and
    never return to a version that was rolled back from.

    Parameters
    ----------
    history : every version of one model, oldest first; at least one
    """
    origins: dict[tuple[str | None, str, str], ChampionRecord] = {}
    for record in history:
        origins.setdefault(_content(record), record)
    by_version = {record.version: record for record in history}
    parent = origins[_content(history[-1])].parent
    return None if parent is None else origins[_content(by_version[parent])].version


def _content(record: ChampionRecord) -> tuple[str | None, str, str]:
    return record.model_path, record.baseline_path, record.baseline_id


def _history(store: Store, model: str) -> list[ChampionRecord]:
    history = store.champions.history(model)
    if not history:
        known = ", ".join(store.champions.models()) or "none"
        raise NotPromoted(f"there is no model {model!r} (there are: {known}): see `sentinel champions list`")
    return history


def _choose(store: Store, history: Sequence[ChampionRecord], version: int, reason: str) -> ChampionRecord:
    champion = history[-1]
    chosen = next((record for record in history if record.version == version), None)
    if chosen is None:
        known = ", ".join(f"v{record.version}" for record in history)
        raise NotPromoted(f"model {champion.model!r} has no version {version} (there are: {known})")
    now = time.time()
    record = chosen.model_copy(
        update={
            "version": champion.version + 1,
            "origin_id": champion.origin_id,
            "parent": champion.version,
            "reason": reason,
            "created_at": now,
        }
    )
    hold = Hold(model=record.model, version=record.version, reason=reason, since=now)
    return _publish(store, record, champion, hold=hold)


def _publish(store: Store, record: ChampionRecord, over: ChampionRecord, *, hold: Hold | None) -> ChampionRecord:
    event = ChampionPromoted.about(record, model=record.model)
    if not store.champions.promote(record, over=over.version, announce=event, hold=hold):
        raise NotPromoted(f"model {record.model!r} was promoted by somebody else meanwhile: look again and retry")
    return record
