"""A retraining worker that is a job: it takes what is there, and ends by itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from common.broker import RETRAIN_QUEUE, RETRAIN_TASK, make_app
from common.process_health import process_health
from common.settings import Settings
from common.store import Store
from sentinel.stack.redis_server import RedisServer
from workers.idle import IdleWatch, idle_seconds

IDLE_SECONDS = 3.0


def test_a_worker_takes_what_is_in_its_queue_and_ends_in_order_once_there_is_nothing(
    own_redis: RedisServer, settings: Settings, tmp_path: Path
) -> None:
    app = make_app(settings.model_copy(update={"redis_url": own_redis.url}))
    app.send_task("nap", args=[IDLE_SECONDS + 3], queue=RETRAIN_QUEUE)  # longer than it may be idle
    app.send_task(RETRAIN_TASK, kwargs={"model": "vfi"}, queue=RETRAIN_QUEUE)
    own = {
        "SENTINEL_REDIS_URL": own_redis.url,
        "SENTINEL_STATE_DIR": str(settings.state_dir),
        "SENTINEL_WATCH_DIR": str(settings.watch_dir),
        "SENTINEL_RETRAIN_IDLE_SECONDS": str(IDLE_SECONDS),
    }
    command = [sys.executable, "-m", "celery", "-A", "tests.workers.napping", "worker", "-Q", RETRAIN_QUEUE]
    process = subprocess.Popen(
        [*command, "-c", "1", "-l", "INFO", "--without-mingle", "--without-gossip"],
        env={**os.environ, **own}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        said, _ = process.communicate(timeout=120)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, said
    assert "nothing to do for 3 s: the worker ends" in said
    store = Store(own_redis.url, settings.model_copy(update={"retrain_idle_seconds": IDLE_SECONDS}))
    assert store.client.llen(RETRAIN_QUEUE) == 0
    assert store.client.hlen("unacked") == 0, "what it took is done"
    assert [one.process for one in process_health(store) if one.process == "retrain"] == [], "nobody misses it"


def test_a_worker_stays_unless_it_is_told_otherwise_and_so_do_those_of_other_queues(settings: Settings) -> None:
    told = settings.model_copy(update={"retrain_idle_seconds": 60.0})
    assert idle_seconds({"retrain"}, settings) == 0
    assert idle_seconds({"retrain"}, told) == 60
    assert idle_seconds({"embed"}, told) == idle_seconds({"reduce"}, told) == 0


def test_a_worker_that_has_a_task_or_had_one_since_the_last_turn_is_not_idle() -> None:
    watch = IdleWatch(5, 100.0)
    assert not watch.is_over(102.0, holds=1, taken=1)
    assert not watch.is_over(108.0, holds=1, taken=1)
    assert not watch.is_over(110.0, holds=0, taken=2), "it came and went between two turns"
    assert not watch.is_over(112.0, holds=0, taken=2)
    assert watch.is_over(115.0, holds=0, taken=2)


def test_time_without_redis_is_no_idle_time() -> None:
    watch = IdleWatch(5, 100.0)
    assert not watch.is_over(102.0, holds=0, taken=0)
    assert not watch.is_over(160.0, holds=0, taken=0), "there was no turn for a minute"
    assert watch.is_over(165.0, holds=0, taken=0)
