"""The API of a real page over real Redis: what it tells, what it does, and what it says when it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.contracts.batches import SourceRequest
from common.contracts.dead_letters import DeadLetterKind
from common.errors import BadSource
from common.ingest.accept import Ingestor
from common.models.registry import roll_back
from common.settings import Settings
from common.store import Store
from common.store.event_log import dead_letter
from common.version import VERSION
from sentinel.stack.redis_server import RedisServer
from tests.common.builders import batch
from tests.common.models.lines import by_gate, on_all
from tests.dashboard.conftest import Page, feed, running_page
from tests.served import wait_until
from workers import reducer

HOSTILE = (
    "<script>alert(1)</script>",
    "[/red] & \"quoted\" 'name'",
    "x" * 200,
    "\u202bright to left\u202c"[1:-1] + " ירושלים",
    "site/dock 3?stream=#%2F",
)


def test_a_fault_is_told_with_its_cause_its_pictures_and_its_story(
    page: Page, ingestor: Ingestor, store: Store
) -> None:
    feed(ingestor, store, "dock", 0, noisy=False)
    feed(ingestor, store, "yard", 0, noisy=False)
    feed(ingestor, store, "dock", 2, noisy=True)
    fleet = page.get("/api/streams").json
    assert [tile["stream"] for tile in fleet["tiles"]] == ["dock", "yard"]
    assert [tile["status"] for tile in fleet["tiles"]] == ["FAIL", "PASS"]
    assert len(fleet["tiles"][0]["day"]) == 48
    wait_until("history", lambda: page.get("/api/tile", stream="dock").json["day"][-1] == "f")
    view = page.get("/api/stream", stream="dock").json
    (incident,) = view["incidents"]
    assert view["verdict"]["cause"] == incident["cause"] == fleet["tiles"][0]["cause"]
    assert view["advice"]
    assert (view["threshold"], view["p_value"]) == (0.30, 0.05)
    assert len(view["points"]) == 10
    assert [point["status"] for point in view["points"][:4]] == ["PASS"] * 4
    story = page.get("/api/incident", id=incident["id"][:8]).json
    assert {moment["what"] for moment in story["moments"]} >= {"first frame", "opened"}
    shown = [story["reference"], *story["pictures"]["first"], *story["pictures"]["latest"], story["present"]]
    for note in shown:
        answer = page.get("/api/picture", stream="dock", id=note["id"])
        assert (answer.status, answer.headers["content-type"]) == (200, "image/jpeg")
    assert story["reference"]["source"] == "/dock-0.mp4"
    assert {note["source"] for note in story["pictures"]["first"]} == {"/dock-2.mp4"}


def test_acknowledge_and_mute_reach_the_incident(page: Page, ingestor: Ingestor, store: Store) -> None:
    feed(ingestor, store, "dock", 0, noisy=True)
    (incident,) = store.streams.open_incidents("dock")
    assert page.act("acknowledge", incident=incident.id, by="Ann <b>").status == 200
    assert page.act("mute", stream="dock", seconds=3600, by="Ann").json["said"].startswith("muted for 1h")
    reducer.reduce("dock")
    (after,) = store.streams.open_incidents("dock")
    assert after.acknowledged_by == "Ann <b>"
    assert [action.by for action in after.actions] == ["Ann <b>", "Ann"]
    assert store.golden.muted("dock") is not None
    assert page.act("mute", stream="dock", seconds=0).json["said"] == "no longer muted"
    assert store.golden.muted("dock") is None


def test_what_cannot_be_done_says_why_and_changes_nothing(page: Page, ingestor: Ingestor, store: Store) -> None:
    feed(ingestor, store, "dock", 0, noisy=False)
    for action, body, status in (
        ("acknowledge", {"incident": "beef"}, 400),
        ("mute", {"stream": "nobody", "seconds": 60}, 404),
        ("mute", {"stream": "dock", "seconds": -1}, 422),
        ("mute", {"stream": "dock", "seconds": 60, "more": 1}, 422),
        ("accept", {"stream": "dock"}, 409),
        ("undo", {"stream": "dock"}, 409),
        ("rollback", {"model": "vfi"}, 409),
        ("release", {"model": "vfi"}, 409),
        ("retry", {"letter": "beef"}, 400),
    ):
        answer = page.act(action, **body)
        assert (answer.status, bool(answer.json["error"])) == (status, True), (action, answer.body)
    assert page.get("/api/stream", stream="nobody").status == 404
    assert page.get("/api/stream", stream="a\nb").status == 422
    assert page.get("/api/picture", stream="dock", id="none").status == 404
    assert page.get("/api/decision-picture", model="../..", number=1).status == 404


def test_an_acceptance_is_shown_first_and_then_made(page: Page, ingestor: Ingestor, store: Store) -> None:
    feed(ingestor, store, "dock", 0, noisy=True, frames=120)
    what = page.get("/api/acceptance", stream="dock")
    assert what.status == 200, what.body
    assert what.json["frames"] > 0
    done = page.act("accept", stream="dock", by="Ann", why="a new lamp", even_blind=bool(what.json["blind"]))
    assert done.status == 200, done.body
    assert done.json["record"]["why"] == "a new lamp"
    reducer.reduce("dock")
    assert store.streams.open_incidents("dock") == ()
    assert page.act("undo", stream="dock", by="Ann").status == 200


def _states(page: Page) -> dict[str, str]:
    return {row["process"]: row["state"] for row in page.get("/api/stack").json["processes"]}


def test_dead_letters_are_summed_up_and_tried_again(page: Page, store: Store, with_baseline: Settings) -> None:
    lost = with_baseline.watch_dir / "dock" / "lost.mp4"
    letter = dead_letter(
        DeadLetterKind.SOURCE, "dock", str(lost), BadSource("it is gone"), SourceRequest(stream="dock", uri=str(lost))
    )
    store.event_log.bury(letter)
    stack = page.get("/api/stack").json
    assert stack["dead_letters"] == 1
    assert stack["version"] == VERSION
    assert stack["dead_letter_groups"][0]["streams"] == ["dock"]
    wait_until("a heartbeat", lambda: _states(page)["page"] == "alive")
    assert [row["id"] for row in page.get("/api/dead-letters").json] == [letter.id]
    (result,) = page.act("retry", letter=letter.id[:8]).json
    assert result["error"] or result["became"] == "rejected"


@pytest.mark.parametrize("name", HOSTILE)
def test_names_of_any_kind_come_back_as_they_are(page: Page, ingestor: Ingestor, store: Store, name: str) -> None:
    feed(ingestor, store, name, 0, noisy=True)
    wait_until("it", lambda: [tile["stream"] for tile in page.get("/api/streams").json["tiles"]] == [name])
    view = page.get("/api/stream", stream=name)
    assert view.json["status"]["stream"] == name
    assert view.headers["content-type"] == "application/json"
    assert page.act("mute", stream=name, seconds=60).status == 200


def test_a_batch_under_way_is_found(page: Page, ingestor: Ingestor, store: Store) -> None:
    work = batch("dock", name="long", frames=40, chunk_frames=10)
    store.batches.register(work)
    store.batches.release("dock", 2)
    (row,) = page.get("/api/stack").json["batches"]
    assert {key: row[key] for key in ("chunks", "queued", "embedding", "embedded")} == {
        "chunks": 4, "queued": 2, "embedding": 2, "embedded": 0,
    }  # fmt: skip


def test_models_tell_their_versions_and_a_held_one_is_released(page: Page, store: Store) -> None:
    by_gate(store)
    by_gate(store)
    roll_back(store, "vfi", on_all, by="Ann")
    (model,) = page.get("/api/models").json
    assert [row["version"] for row in model["history"]] == [1, 2, 3]
    assert model["status"]["held"]["version"] == 3
    assert page.act("release", model="vfi").status == 200
    assert store.champions.held("vfi") is None
    assert page.act("release", model="vfi").status == 409


def test_its_description_covers_every_path(page: Page) -> None:
    described = page.get("/api/openapi.json").json
    assert {"/api/streams", "/api/live", "/api/actions/accept", "/healthz", "/readyz"} <= set(described["paths"])
    assert "Verdict" in described["components"]["schemas"]


def test_while_redis_is_away_it_lives_is_not_ready_and_comes_back(
    own_redis: RedisServer, settings: Settings, tmp_path: Path
) -> None:
    own = settings.model_copy(update={"redis_url": own_redis.url})
    folder = tmp_path / "page"
    folder.mkdir()
    with running_page(own, folder) as page:
        assert page.get("/readyz").status == 200
        own_redis.stop()
        assert page.get("/healthz").status == 200
        assert page.get("/readyz").status == 503
        assert page.get("/api/streams").status == 503
        own_redis.start()
        wait_until("it to be ready", lambda: page.get("/readyz").status == 200)
        assert page.get("/api/streams").status == 200
