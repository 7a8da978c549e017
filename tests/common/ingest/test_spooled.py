"""Files that came with an event and lie where nobody else writes: what of them is needed afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.contracts.batches import Submission
from common.errors import Backlogged, PathNotAllowed
from common.ingest.accept import Ingestor, event_batch_id
from common.store import Store, keys
from tests.footage import stills


def spooled(ingestor: Ingestor, name: str) -> Path:
    stills(ingestor.settings.posted_dir, [name])
    return ingestor.settings.posted_dir / name


def test_it_is_kept_until_its_batch_is_judged(ingestor: Ingestor, store: Store) -> None:
    batch_id = event_batch_id("dock", "1")
    assert ingestor.accept_spooled("dock", spooled(ingestor, "a.png"), event_key="1") is Submission.ACCEPTED
    assert store.batches.kept_seconds("dock", [batch_id, "unknown"]) == [float("inf"), 0.0]
    assert ingestor.accept_spooled("dock", spooled(ingestor, "b.png"), event_key="1") is Submission.DUPLICATE
    assert store.batches.source_uri("dock", batch_id) == str(ingestor.settings.posted_dir / "a.png")
    store.client.expire(keys.stream_key("dock", "data", batch_id), 500)
    assert 400 < store.batches.kept_seconds("dock", [batch_id])[0] <= 500


def test_a_registration_whose_answer_was_lost_is_the_files_own(
    ingestor: Ingestor, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    register = store.batches.register

    def answer_lost(*arguments: object, **more: object) -> bool:
        register(*arguments, **more)  # type: ignore[arg-type]
        return register(*arguments, **more)  # type: ignore[arg-type]  # the client tries again by itself

    monkeypatch.setattr(store.batches, "register", answer_lost)
    assert ingestor.accept_spooled("dock", spooled(ingestor, "a.png"), event_key="1") is Submission.ACCEPTED
    assert store.batches.kept_seconds("dock", [event_batch_id("dock", "1")]) == [float("inf")]


def test_what_is_refused_or_has_no_room_is_not_registered(ingestor: Ingestor, store: Store, tmp_path: Path) -> None:
    stills(tmp_path / "elsewhere", ["a.png"])
    with pytest.raises(PathNotAllowed):
        ingestor.accept_spooled("dock", tmp_path / "elsewhere" / "a.png", event_key="1")
    store.settings = store.settings.model_copy(update={"backlog_mb": 1})
    store.client.set("much", bytes(3_000_000))
    with pytest.raises(Backlogged):
        ingestor.accept_spooled("dock", spooled(ingestor, "a.png"), event_key="1")
    assert store.streams.names() == []
