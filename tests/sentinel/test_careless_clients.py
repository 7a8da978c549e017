"""What careless clients push where they should not: it is thrown out, named, and nothing else is lost."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from common.broker import EMBED_TASK, make_app
from common.contracts.dead_letters import DeadLetterKind
from common.contracts.events import EventType
from common.settings import Settings, get_settings
from sentinel.demo.footage import drop
from sentinel.doctor import Finding, examine
from tests.converted import share_backbones
from tests.sentinel.conftest import Running, World, start, wait_until


@pytest.fixture
def stack(world: World, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A stack in a folder of its own: what is done to it must not show elsewhere."""
    share_backbones(tmp_path_factory, tmp_path / "state")
    own = {"SENTINEL_STATE_DIR": str(tmp_path / "state"), "SENTINEL_WATCH_DIR": str(tmp_path / "incoming")}
    get_settings.cache_clear()
    running = start(World(tmp_path, {**world.environment, **own}))
    yield running
    if running.process.poll() is None:
        running.interrupt()


def found_by_doctor(world: World) -> dict[str, Finding]:
    settings = Settings(_env_file=None, state_dir=world.state_dir, weights="random:0")  # type: ignore[call-arg]
    return {finding.what: finding for finding in examine(settings)}


@pytest.mark.timeout(400)
def test_garbage_on_a_broker_list_and_tasks_of_nobody_stop_nothing(stack: Running, world: World) -> None:
    client = stack.store.client
    settings = Settings(_env_file=None, redis_url=stack.info.redis_url)  # type: ignore[call-arg]
    sender = make_app(settings)
    with suppress(Exception):
        sender.send_task("sentinel.unheard_of", queue="reduce")
        sender.send_task(EMBED_TASK, kwargs={"chunk": "no chunk at all"}, queue="embed")
        sender.send_task(EMBED_TASK, kwargs={"what": "is this"}, queue="embed")
    wait_until("three dead letters", lambda: len(list(stack.store.event_log.dead_letters())) >= 3)
    letters = list(stack.store.event_log.dead_letters())
    assert {letter.kind for letter in letters} == {DeadLetterKind.TASK}
    assert sum("unheard_of" in letter.reason for letter in letters) == 1

    for garbage in (b"not json", b"\xff\xfe", json.dumps({"body": "x"}).encode(), pickle.dumps({"a": 1})):
        client.lpush("embed", garbage)
    wait_until("the garbage to be gone", lambda: client.llen("embed") == 0)
    drop(world.folder / "clean.mp4", stack.world.watch_dir / "careless")

    def complete() -> bool:
        return any(
            event.type is EventType.BATCH_COMPLETE and event.stream == "careless"
            for event in stack.store.event_log.events()
        )

    wait_until("the batch that came after the garbage", complete)
    finding = found_by_doctor(stack.world)["workers"]
    assert not finding.ok
    assert "no Celery client wrote" in finding.detail
    assert "sentinel:ingest" in finding.detail
