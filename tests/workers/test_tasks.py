"""What becomes of tasks on a real worker: killed by its time limit, sent by strangers, sent by name."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from celery import Celery
from celery.worker import state

from common.broker import EMBED_TASK, REDUCE_TASK, make_app
from common.contracts.dead_letters import DeadLetterKind, RawTask
from common.errors import BadMessage
from common.settings import Settings
from common.store import Store, keys
from sentinel.stack.redis_server import RedisServer
from tests.common.builders import batch
from tests.workers.running import PATIENCE_SECONDS, running_worker, wait_until
from workers import context, dead_letters

VISIBILITY_SECONDS = 10  # the least: tasks are interrupted after 7 s and killed after 8 s


@pytest.fixture
def clients(settings: Settings, redis_server: RedisServer) -> Celery:
    return make_app(settings.model_copy(update={"redis_url": redis_server.url}))


@pytest.fixture
def worker(redis_server: RedisServer, settings: Settings, tmp_path: Path, store: Store) -> Iterator[Path]:
    """A real worker; yields its log."""
    own, visibility = settings.model_copy(update={"redis_url": redis_server.url}), str(VISIBILITY_SECONDS)
    log = tmp_path / "worker.log"
    with running_worker(
        "tests.workers.hanging", "embed,reduce", own, log, SENTINEL_VISIBILITY_SECONDS=visibility
    ) as ready:
        yield ready


@pytest.mark.timeout(400)
def test_a_worker_killed_by_its_time_limit_leaves_no_dead_letter_until_the_chunk_is_given_up(
    worker: Path, store: Store, clients: Celery, settings: Settings
) -> None:
    work = batch("hangs", frames=40)
    store.batches.register(work)
    (chunk,) = work.chunks()

    def send() -> None:
        clients.send_task(EMBED_TASK, kwargs={"chunk": chunk.to_json()}, queue="embed", ignore_result=True)

    send()
    wait_until(lambda: "Hard time limit" in worker.read_text(), worker)
    # As if the sweep had sent it again, to the same end.
    store.client.hincrby(keys.stream_key("hangs", "chunk", chunk.id), "deliveries", settings.max_deliveries)
    assert list(store.event_log.dead_letters()) == []
    send()
    wait_until(lambda: list(store.event_log.dead_letters()), worker)
    time.sleep(1)
    # The reducer, which then has the chunk, waits for a baseline that nobody has set here, and says so.
    (letter,) = [letter for letter in store.event_log.dead_letters() if not letter.subject.startswith("baseline")]
    assert (letter.kind, letter.stream) == (DeadLetterKind.CHUNK, "hangs")
    assert not store.client.keys("celery-task-meta-*"), "chunks leave no results"


@pytest.mark.timeout(400)
def test_what_strangers_send_ends_as_dead_letters_and_what_clients_send_by_name_has_a_result(
    worker: Path, store: Store, clients: Celery, settings: Settings
) -> None:
    clip = settings.watch_dir / "clip.mp4"
    clip.write_bytes(b"frames")
    good = clients.send_task(EMBED_TASK, kwargs={"stream": "site/dock 3", "uri": str(clip)}, queue="embed")
    answer = good.get(timeout=PATIENCE_SECONDS)
    ((_, fields),) = store.client.xrange(keys.INGEST)
    assert len(answer.pop("batch")) == 32
    assert answer == {"state": "offered", "stream": "site/dock 3", "event": fields[b"id"].decode()}
    assert good.state == "SUCCESS"

    before = set(store.client.keys())
    bad = [
        {"stream": "a\nb", "uri": str(clip)},
        {"stream": "dock", "uri": "/etc/passwd"},
        {"stream": "dock", "uri": str(clip.with_name("gone.mp4"))},
        {"stream": "\ud800", "uri": str(clip)},
        {"stream": {"a": 1}, "uri": ["b"]},
        {"stream": 5, "uri": str(clip)},
        {"stream": ["dock"], "uri": str(clip)},
        {"stream": "dock", "uri": ""},
        {"stream": "dock"},
        {"chunk": "[" * 50_000 + "]" * 50_000},
        {"chunk": "no chunk"},
        {"what": "is this"},
    ]
    results = [clients.send_task(EMBED_TASK, kwargs=arguments, queue="embed") for arguments in bad]
    forged = ["a\nb", "[/red]", "unheard of", "x" * 300, "\ud800", "{x}", None, 7]
    results += [clients.send_task(REDUCE_TASK, kwargs={"stream": name}, queue="reduce") for name in forged]
    clients.send_task(REDUCE_TASK, kwargs={"no": "stream"}, queue="reduce")
    count = len(bad) + len(forged) + 1
    wait_until(lambda: len(list(store.event_log.dead_letters())) >= count, worker)
    assert [letter.kind for letter in store.event_log.dead_letters()] == [DeadLetterKind.TASK] * count
    assert [result.state for result in results[: len(bad)]] == ["FAILURE"] * len(bad)
    left = {
        key.decode() for key in set(store.client.keys()) - before if not key.startswith((b"celery-", b"_kombu", b"un"))
    }
    assert left == {keys.DEAD, keys.DEAD_IDS}, "forged names leave no keys"
    assert store.client.xlen(keys.INGEST) == 1


def test_a_bad_task_waits_while_redis_cannot_store_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "store", lambda: store)
    monkeypatch.setattr(dead_letters, "_PAUSE_SECONDS", 0.01)
    bury, tries = store.event_log.bury, []

    def full(letter: object) -> bool:
        tries.append(letter)
        if len(tries) < 4:
            raise redis.ResponseError("MISCONF Redis is unable to persist to disk")
        return bury(letter)  # type: ignore[arg-type]

    monkeypatch.setattr(store.event_log, "bury", full)
    task = RawTask(name=EMBED_TASK, queue="embed", args="[]", kwargs="{}")
    dead_letters.bury(task, BadMessage("bad"))
    assert len(list(store.event_log.dead_letters())) == 1
    monkeypatch.setattr(state, "should_stop", True)
    tries.clear()
    dead_letters.bury(task, BadMessage("other"))
    assert len(list(store.event_log.dead_letters())) == 1, "a worker that is to stop does"
