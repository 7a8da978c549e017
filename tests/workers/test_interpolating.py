"""The task `sentinel.interpolate`, sent by a Celery client to a real worker, with real video."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from celery import Celery

from common.broker import INTERPOLATE_QUEUE, INTERPOLATE_TASK, make_app
from common.errors import BadMessage, BadModel, BadSource, PathNotAllowed, UnknownStream
from common.models.names import DEFAULT_MODEL
from common.models.vfi.first import starting_model
from common.models.vfi.model import Interpolator
from common.settings import Settings
from common.store import Store
from sentinel.stack.redis_server import RedisServer
from tests.common.builders import record
from tests.common.models.vfi.test_trainer import footage
from tests.footage import write_clip
from tests.workers.running import PATIENCE_SECONDS, running_worker


@pytest.fixture
def client(settings: Settings, redis_server: RedisServer) -> Celery:
    return make_app(settings.model_copy(update={"redis_url": redis_server.url}))


@pytest.fixture
def worker(redis_server: RedisServer, settings: Settings, tmp_path: Path, store: Store) -> Iterator[Path]:
    """A real worker; yields its log."""
    own = settings.model_copy(update={"redis_url": redis_server.url})
    with running_worker("workers.interpolating", INTERPOLATE_QUEUE, own, tmp_path / "worker.log") as log:
        yield log


def frames_of(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


@pytest.mark.timeout(400)
def test_a_client_gets_more_frames_by_the_champion_of_a_stream(
    worker: Path, client: Celery, settings: Settings, store: Store, tmp_path: Path
) -> None:
    def ask(**arguments: object) -> dict[str, object]:
        sent = client.send_task(INTERPOLATE_TASK, kwargs=arguments, queue=INTERPOLATE_QUEUE)
        return dict(sent.get(timeout=PATIENCE_SECONDS))

    clip = write_clip(settings.watch_dir / "clip.mp4", list(footage(5)), fps=10.0)
    folder = settings.interpolated_root
    plain = ask(uri=clip.as_uri(), out="a.mp4")
    assert (plain["path"], plain["frames"], plain["source_frames"]) == (str(folder / "a.mp4"), 9, 5)
    assert frames_of(folder / "a.mp4") == 9
    assert (plain["model"], plain["digest"]) == ("starting weights of vfi", starting_model().digest)

    config = tmp_path / "sentinel.toml"
    with pytest.raises(UnknownStream, match="dock"):
        ask(uri=str(clip), out="b.mp4", stream="dock")
    assert not config.exists()
    store.client.zadd("sentinel:streams", {"dock": time.time()})
    assert "no champion yet" in str(ask(uri=str(clip), out="b.mp4", stream="dock")["model"])
    champion = Interpolator(tuple(w * 0.5 for w in starting_model().weights))
    champion.save(tmp_path / "v1")
    promoted = record(1, model_path=str(tmp_path / "v1"), model_digest=champion.digest)
    assert store.champions.promote(promoted, over=0)
    healed = ask(uri=str(clip), out="deep/c.mp4", stream="dock", factor=4)
    assert (healed["model"], healed["digest"]) == (f"{DEFAULT_MODEL} v1, champion of dock", champion.digest)
    assert frames_of(folder / "deep" / "c.mp4") == 17

    # A message that is delivered again is answered as before, and nothing is written anew.
    once = client.send_task(INTERPOLATE_TASK, kwargs={"uri": str(clip), "out": "d.mp4"}, queue=INTERPOLATE_QUEUE)
    first = once.get(timeout=PATIENCE_SECONDS)
    written = (folder / "d.mp4").stat().st_mtime_ns
    client.send_task(
        INTERPOLATE_TASK, kwargs={"uri": str(clip), "out": "d.mp4"}, queue=INTERPOLATE_QUEUE, task_id=once.id
    )
    assert ask(uri=str(clip), out="e.mp4")["frames"] == 9, "a later task, which the worker takes after that one"
    assert client.AsyncResult(once.id).get(timeout=PATIENCE_SECONDS) == first
    assert (folder / "d.mp4").stat().st_mtime_ns == written


@pytest.mark.timeout(400)
def test_what_may_not_be_read_or_written_fails_with_the_reason(
    worker: Path, client: Celery, settings: Settings, store: Store, tmp_path: Path
) -> None:
    outside = write_clip(tmp_path / "outside.mp4", list(footage(3)), fps=10.0)
    clip = write_clip(settings.watch_dir / "clip.mp4", list(footage(3)), fps=10.0)
    refused: list[tuple[dict[str, object], type[Exception], str]] = [
        ({"uri": str(outside), "out": "a.mp4"}, PathNotAllowed, "SENTINEL_ALLOWED_ROOTS"),
        ({"uri": str(clip), "out": "../a.mp4"}, PathNotAllowed, "allowed folders"),
        ({"uri": str(clip), "out": str(clip)}, PathNotAllowed, "allowed folders"),
        ({"uri": str(clip), "out": "a.txt"}, BadSource, "choose one of these names"),
        ({"uri": str(clip), "out": ""}, BadMessage, "wants uri and out"),
        ({"uri": str(clip), "out": ".a.part.mp4"}, BadMessage, "wants uri and out"),
        ({"uri": str(clip), "out": "a.mp4", "factor": 2.0}, BadMessage, "wants uri and out"),
        ({"uri": ["a"], "out": "a.mp4"}, BadMessage, "wants uri and out"),
        ({"uri": str(clip), "out": "a.mp4", "factor": "3"}, BadMessage, "wants uri and out"),
        ({"uri": str(clip), "out": "a.mp4", "stream": "dock", "model": "vfi"}, BadMessage, "or a model; it was sent"),
        ({"uri": str(clip), "out": "a.mp4", "model": "vfy"}, BadModel, "did you mean 'vfi'"),
        ({"uri": str(clip.with_name("gone.mp4")), "out": "a.mp4"}, BadSource, "gone.mp4"),
    ]
    for arguments, error, reason in refused:
        sent = client.send_task(INTERPOLATE_TASK, kwargs=arguments, queue=INTERPOLATE_QUEUE)
        with pytest.raises(error, match=reason):
            sent.get(timeout=PATIENCE_SECONDS)
    assert not settings.interpolated_root.exists() or not list(settings.interpolated_root.iterdir())
