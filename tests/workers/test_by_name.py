"""What a Celery client that hands a source in by name is told of its batch, by a real worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.broker import EMBED_TASK, make_app
from common.ingest.accept import Ingestor
from common.store import Store
from producers.camera_events import CameraEvents
from tests.footage import stills
from tests.workers.running import PATIENCE_SECONDS, running_worker, wait_until
from workers import context, embedding


@pytest.mark.timeout(400)
def test_a_client_learns_the_batchs_id_at_once_and_how_far_it_is_when_it_asks_again(
    ingestor: Ingestor, store: Store, tmp_path: Path
) -> None:
    own = ingestor.settings
    shot = own.watch_dir / "shot 1.png"
    stills(own.watch_dir, [shot.name])
    own = own.model_copy(update={"watch_dir": tmp_path / "unused"})  # the worker makes it
    client, log = make_app(own), tmp_path / "worker.log"
    more = {
        "SENTINEL_ALLOWED_ROOTS": str(shot.parent),
        "SENTINEL_BASELINE": str(own.baseline),
        "SENTINEL_BASELINES_DIR": str(own.baselines_dir),
    }

    def ask(uri: str) -> dict[str, str]:
        asked = {"stream": "site/dock 3", "uri": uri}
        answer: dict[str, str] = client.send_task(EMBED_TASK, kwargs=asked, queue="embed", ignore_result=False).get(
            timeout=PATIENCE_SECONDS
        )
        return answer

    with running_worker("tests.workers.by_name", "embed,reduce", own, log, **more):
        first = ask(str(shot))
        assert (first["state"], first["stream"]) == ("offered", "site/dock 3")
        assert CameraEvents(store, ingestor).step() == 1
        wait_until(lambda: ask(str(shot))["state"] == "complete", log)
        assert {ask(str(shot))[name] for name in ("batch", "event")} == {first["batch"], first["event"]}
    (done,) = [event for event in store.event_log.events() if event.type.value.startswith("io.sentinel.batch")]
    report = done.report  # type: ignore[attr-defined]
    assert (report.batch_id, report.frames, report.dead_chunks) == (first["batch"], 1, 0)
    assert store.client.xlen("sentinel:ingest") == 0, "what is known is not offered again"


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_the_id_is_that_of_the_batch_which_the_producer_makes(
    ingestor: Ingestor, store: Store, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setattr(embedding, "get_settings", lambda: ingestor.settings)
    monkeypatch.setattr(context, "store", lambda: store)
    folder = ingestor.settings.watch_dir
    stills(folder, ["a.png", "b.png"])
    (folder / "link.png").symlink_to(folder / "a.png")
    bridge = CameraEvents(store, ingestor)
    for name in ("a.png", "link.png", ""):
        answer = embedding.offer_source("cameras/cam9", f"{scheme}{folder / name}")
        assert answer["state"] == "offered"
        bridge.step()
        again = embedding.offer_source("cameras/cam9", f"{scheme}{folder / name}")
        assert again == answer | {"state": "accepted"}
    assert store.streams.pending("cameras/cam9") == 3
