"""What `sentinel doctor` finds in Redis: its configuration, the queues, the camera events, the processes."""

from __future__ import annotations

import json
from functools import partial

import redis

from common.contracts.processes import ProcessHealth, ProcessState
from common.errors import SentinelError
from common.process_health import process_health
from common.processes import QUEUES
from common.settings import Settings
from common.store import Store, keys
from common.store.client import connect, without_password
from common.store.ingest_streams import ingest_repairs, ingest_streams, ingest_troubles
from sentinel.doctor_redis_access import connection, users
from sentinel.findings import Finding, look
from sentinel.stack.info import read_info

ADVICE = "only Celery clients may write there, cameras write to the Stream sentinel:ingest"

_LOOKED_AT = 200  # entries of a queue
_NAMED = 5  # streams in a line
_CLOCK_SECONDS = 5.0  # a clock that is further off is mentioned


def check_redis(url: str) -> str:
    """Return what is known of the Redis at `url`; raise if Sentinel cannot run on it."""
    client = connect(url)
    # INFO, not CONFIG GET: Sentinel's user may not read the configuration.
    policy = client.info("memory").get("maxmemory_policy", "?")
    if policy != "noeviction":
        raise SentinelError(
            f"{without_password(url)} has maxmemory-policy {policy} and may forget frames when full: set noeviction"
        )
    persistent = bool(client.info("persistence").get("aof_enabled"))
    return f"{without_password(url)}, " + (
        "append-only file" if persistent else "WITHOUT append-only file: a crash loses work"
    )


def examine_redis(settings: Settings) -> list[Finding]:
    """Look at everything that is in Redis. `settings` are those of the stack, if one runs."""
    url = settings.redis_url
    if url is None:
        return [Finding(what="Redis", ok=True, detail="none runs; `sentinel up` starts one")]
    found = look("Redis", partial(check_redis, url))
    if not found.ok:
        return [found]
    store = Store(url, settings)
    return [
        found,
        look("Redis connection", partial(connection, url)),
        look("Redis users", partial(users, store.client, url)),
        look("room in Redis", lambda: _room(store)),
        look("queues", lambda: _queues(store.client)),
        look("camera events", lambda: _written_streams(store.client, keys.INGEST, "camera-events")),
        look("truth", lambda: _written_streams(store.client, keys.TRUTH, "truth")),
        look("silence", lambda: _silence(store)),
        *_processes(store, settings),
    ]


def _room(store: Store) -> str:
    """Say whether producers hand in what comes, or wait because Redis is full."""
    store.require_room()
    return "enough, producers do not wait"


def _queues(client: redis.Redis) -> str:
    """Look for what no Celery client wrote: it ends the worker that receives it."""
    lengths = []
    for queue in QUEUES:
        lengths.append(f"{queue} {client.llen(queue)}")
        foreign = sum(not _is_envelope(entry) for entry in client.lrange(queue, 0, _LOOKED_AT))
        if foreign:
            raise SentinelError(
                f"{foreign} entries on the list {queue!r} are no Celery messages: {ADVICE}; workers throw them away, "
                "and start again, as they meet them"
            )
    return ", ".join(lengths)


def _is_envelope(entry: bytes | str) -> bool:
    try:
        envelope = json.loads(entry)
        return bool(envelope["properties"]["delivery_info"]["exchange"] is not None) and "body" in envelope
    except (ValueError, TypeError, KeyError, RecursionError):
        return False


def _written_streams(client: redis.Redis, root: str, process: str) -> str:
    """Look for Streams that were ended, and for a consumer group that would never be given a new entry.

    Parameters
    ----------
    root : key of the Stream that all writers share
    process : that reads them, and mends them
    """
    troubles = ingest_troubles(client, root)
    if troubles:
        said = "; ".join(f"{stream}: {trouble}" for stream, trouble in troubles.items())
        raise SentinelError(
            f"{said}. Whoever may write to it did that. {process} mends a Stream while it runs; a key that holds "
            "none has to be deleted. Give each writer a Stream of its own"
        )
    streams = ingest_streams(client, root)
    waiting = sum(client.xlen(stream) for stream in streams)
    repairs = "".join(
        f"; {repair.stream_key} was mended {repair.times} times, lately because {repair.why}: find out who writes to it"
        for repair in ingest_repairs(client)
        if repair.stream_key == root or repair.stream_key.startswith(f"{root}:")
    )
    return f"{waiting} waiting in {len(streams)} Streams{repairs}"


def _silence(store: Store) -> str:
    """Look for streams from which nothing comes."""
    names = store.streams.names()
    offline = [name for name in names if store.silence.quiet(name).offline]
    if offline:
        more = f" and {len(offline) - _NAMED} more" if len(offline) > _NAMED else ""
        raise SentinelError(
            f"offline: {', '.join(offline[:_NAMED])}{more}: look at the cameras, their power and network; "
            "`sentinel incidents list --state offline` says since when"
        )
    return f"none of {len(names)} streams is offline"


def _processes(store: Store, settings: Settings) -> list[Finding]:
    """Look at each process; where none ever ran there is nothing to find."""
    known = process_health(store)
    runs_here = read_info(settings.state_dir) is not None
    if not runs_here and all(one.state is ProcessState.MISSING for one in known):
        return [Finding(what="processes", ok=True, detail="none runs; `sentinel up` starts them")]
    return [Finding(what=f"process {one.process}", ok=one.ok, detail=_describe(one)) for one in known]


def _describe(health: ProcessHealth) -> str:
    parts = [str(health.state)]
    if health.instances > 1:
        parts.append(f"{health.instances} of them")
    if health.why:
        parts.append(health.why)
    if abs(health.clock_offset) > _CLOCK_SECONDS:
        side = "ahead of" if health.clock_offset > 0 else "behind"
        parts.append(f"the clock of {health.host} is {abs(health.clock_offset):.0f} s {side} Redis' clock")
    return ", ".join(parts)
