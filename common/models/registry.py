"""Promotions and rollbacks: what becomes champion, and how that is announced."""

from __future__ import annotations

import time

from common.baselines.storage import StoredBaseline
from common.contracts.events import ChampionPromoted
from common.contracts.models import ChampionRecord
from common.errors import NotPromoted
from common.store import Store


def promote(
    store: Store,
    over: ChampionRecord,
    *,
    baseline: StoredBaseline,
    model_path: str,
    reason: str,
    gain_db: float,
    loss_db: float,
) -> ChampionRecord:
    """Make a challenger champion together with its baseline.

    Raises
    ------
    NotPromoted
        If `over`, the champion that it was compared with, no longer reigns.
    """
    record = ChampionRecord(
        model=over.model,
        version=over.version + 1,
        baseline_path=str(baseline.folder),
        baseline_id=baseline.id,
        model_path=model_path,
        origin_id=over.origin_id,
        parent=over.version,
        reason=reason,
        gain_db=gain_db,
        loss_db=loss_db,
        created_at=time.time(),
    )
    return _publish(store, record, over)


def roll_back(store: Store, model: str, version: int, reason: str) -> ChampionRecord:
    """Make an earlier version champion again: a new entry that points at the old model and baseline.

    Raises
    ------
    NotPromoted
        If there is no such version, or somebody else promoted meanwhile.
    """
    history = {record.version: record for record in store.champions.history(model)}
    champion = store.champions.champion(model)
    if champion is None or version not in history:
        known = ", ".join(f"v{number}" for number in sorted(history)) or "none"
        raise NotPromoted(f"model {model!r} has no version {version} (there are: {known})")
    old = history[version]
    record = old.model_copy(
        update={
            "version": champion.version + 1,
            "origin_id": champion.origin_id,
            "parent": champion.version,
            "reason": reason,
            "created_at": time.time(),
        }
    )
    return _publish(store, record, champion)


def _publish(store: Store, record: ChampionRecord, over: ChampionRecord) -> ChampionRecord:
    event = ChampionPromoted.about(record, model=record.model)
    if not store.champions.promote(record, over=over.version, announce=event):
        raise NotPromoted(f"model {record.model!r} was promoted by somebody else meanwhile: look again and retry")
    return record
