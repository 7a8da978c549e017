"""Looks for what would go wrong before it does."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from common.contracts.batches import FeatureSpec
from common.contracts.ids import Message
from common.errors import BadSource, SentinelError
from common.settings import Settings, given_variables, unknown_settings
from common.stream_config import config_path, stream_config
from sentinel.stack.local import settings_of_stack

_LITTLE_DISK_BYTES = 1_000_000_000
_LOOKED_AT = 200  # entries of a queue
_LOG_BYTES = 200_000  # of a log's end
# What a Celery worker says when it meets bytes that are no envelope, an envelope without its fields, or a body that it
# may not read (pickle).
_FOREIGN_SIGNS = ("JSONDecodeError", "UnicodeDecodeError", "KeyError('properties')", "KeyError: 'properties'",
                  "'delivery_info'", "Can't decode message body")  # fmt: skip
_ADVICE = "only Celery clients may write there, cameras write to the Stream sentinel:ingest"


class Finding(Message):
    """One thing that was looked at."""

    what: str
    ok: bool
    detail: str


def require_sound(settings: Settings) -> None:
    """Raise the first thing that would keep a stack from working; what can wait is not looked at."""
    if settings.redis_url:
        _redis(settings)
    _folder(settings.watch_dir, "SENTINEL_WATCH_DIR")
    _folder(settings.state_dir, "SENTINEL_STATE_DIR")
    _baseline(settings)


def examine(settings: Settings) -> list[Finding]:
    """Look at everything that the stack needs; each finding says what to do if it is not right."""
    settings = settings_of_stack(settings)
    checks: list[tuple[str, Callable[[Settings], str]]] = [
        ("settings", _names),
        ("redis-server", _redis_binary),
        ("Redis", _redis),
        ("queues", _queues),
        ("workers", _workers),
        ("watched folder", lambda s: _folder(s.watch_dir, "SENTINEL_WATCH_DIR")),
        ("state folder", lambda s: _folder(s.state_dir, "SENTINEL_STATE_DIR")),
        ("disk", _disk),
        ("streams", _streams),
        ("baseline", _baseline),
        ("backbone", _backbone),
    ]
    findings = []
    for what, look in checks:
        try:
            findings.append(Finding(what=what, ok=True, detail=look(settings)))
        except (SentinelError, OSError) as error:
            findings.append(Finding(what=what, ok=False, detail=str(error)))
    return findings


def _redis_binary(settings: Settings) -> str:
    if settings.redis_url:
        return "not needed, SENTINEL_REDIS_URL is set"
    from sentinel.stack.redis_server import find_redis_server

    return str(find_redis_server())


def _known_url(settings: Settings) -> str | None:
    from sentinel.stack.stack import read_info

    info = read_info(settings.state_dir)
    return settings.redis_url or (info.redis_url if info else None)


def _redis(settings: Settings) -> str:
    from common.store.client import connect, without_password

    url = _known_url(settings)
    if url is None:
        return "none runs; `sentinel up` starts one"
    client = connect(url)
    policy = client.config_get("maxmemory-policy").get("maxmemory-policy", "?")
    if policy != "noeviction":
        raise SentinelError(
            f"{without_password(url)} has maxmemory-policy {policy} and may forget frames when full: set noeviction"
        )
    persistent = client.config_get("appendonly").get("appendonly") == "yes"
    return f"{without_password(url)}, " + (
        "append-only file" if persistent else "WITHOUT append-only file: a crash loses work"
    )


def _queues(settings: Settings) -> str:
    """Look for what no Celery client wrote: it ends the worker that takes it."""
    from common.broker import EMBED_QUEUE, REDUCE_QUEUE, RETRAIN_QUEUE
    from common.store.client import connect

    url = _known_url(settings)
    if url is None:
        return "no Redis runs"
    client, lengths = connect(url), []
    for queue in (EMBED_QUEUE, REDUCE_QUEUE, RETRAIN_QUEUE):
        lengths.append(f"{queue} {client.llen(queue)}")
        foreign = sum(not _is_envelope(entry) for entry in client.lrange(queue, 0, _LOOKED_AT))
        if foreign:
            raise SentinelError(
                f"{foreign} entries on the list {queue!r} are no Celery messages: {_ADVICE}; workers throw them away, "
                "and start again, as they meet them"
            )
    return ", ".join(lengths)


def _workers(settings: Settings) -> str:
    """Look into the workers' logs for a death that a foreign message caused."""
    from common.broker import EMBED_QUEUE, REDUCE_QUEUE, RETRAIN_QUEUE

    for queue in (EMBED_QUEUE, REDUCE_QUEUE, RETRAIN_QUEUE):
        try:
            with (settings.state_dir / "logs" / f"{queue}.log").open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - _LOG_BYTES))
                said = log.read().decode(errors="replace")
        except OSError:
            continue
        if deaths := sum(said.count(sign) for sign in _FOREIGN_SIGNS):
            raise SentinelError(
                f"the {queue} worker met {deaths} messages lately that no Celery client wrote: {_ADVICE}"
            )
    return "no sign of foreign messages"


def _is_envelope(entry: bytes | str) -> bool:
    try:
        envelope = json.loads(entry)
        return bool(envelope["properties"]["delivery_info"]["exchange"] is not None) and "body" in envelope
    except (ValueError, TypeError, KeyError):
        return False


def _folder(path: Path, setting: str) -> str:
    from sentinel.stack.stack import make_folder

    make_folder(path, setting)
    if not os.access(path, os.W_OK):
        raise SentinelError(f"{path.resolve()} cannot be written: change its permissions or {setting}")
    return str(path.resolve())


def _disk(settings: Settings) -> str:
    nearest = settings.state_dir.resolve()
    while not nearest.exists():
        nearest = nearest.parent
    free = shutil.disk_usage(nearest).free
    if free < _LITTLE_DISK_BYTES:
        raise SentinelError(f"{free / 1e9:.1f} GB free at {nearest}: make room, Redis needs it to keep its work")
    return f"{free / 1e9:.0f} GB free"


def _baseline(settings: Settings) -> str:
    from common.baselines.storage import find_baseline, load_baseline

    names = _baselines_set(settings)
    if not names:
        return "none set: `sentinel baseline build FILES --name NAME`, then SENTINEL_BASELINE=NAME"
    found = [load_baseline(find_baseline(name, settings.baselines_dir)) for name in names]
    return ", ".join(f"{stored.baseline.name} {stored.id[:12]}" for stored in found)


def _baselines_set(settings: Settings) -> list[str]:
    """Return the names of the baselines that the settings and sentinel.toml give to streams, each once."""
    names = [settings.baseline, *(table.baseline for table in stream_config(settings).streams.values())]
    return list(dict.fromkeys(name for name in names if name))


def _streams(settings: Settings) -> str:
    """Look at the file that configures streams, and for the sources that beat hands in."""
    from common.sources.local import local_path

    path = config_path(settings)
    if path is None:
        return "all as the settings say: there is no sentinel.toml"
    streams, wrong = stream_config(settings).streams, []
    sources = {stream: table.source for stream, table in streams.items() if table.source is not None}
    for stream, source in sources.items():
        try:
            if not local_path(source, settings.roots).exists():
                wrong.append(f"source of stream {stream!r}: {source} does not exist")
        except BadSource as error:
            wrong.append(f"source of stream {stream!r}: {error}")
    if wrong:
        raise SentinelError(f"{path}: " + "; ".join(wrong))
    return f"{path}: {len(streams)} configured, {len(sources)} with a schedule"


def _names(_: Settings) -> str:
    if unknown := unknown_settings(given_variables()):
        raise SentinelError("; ".join(unknown))
    return "all known"


def _backbone(settings: Settings) -> str:
    from common.backbones import load_backbone

    loaded = [load_backbone(settings, spec) for spec in _feature_specs(settings)]
    return "; ".join(f"{b.name}, weights {b.weights_digest[:12]}, {b.precision}" for b in loaded)


def _feature_specs(settings: Settings) -> list[FeatureSpec | None]:
    """Return the feature specs of the baselines that are set, else of all that are kept; [None]: there is none yet."""
    from common.baselines.storage import find_baseline, list_baselines, read_manifest

    folders = [find_baseline(name, settings.baselines_dir) for name in _baselines_set(settings)]
    folders = folders or list_baselines(settings.baselines_dir)
    specs = [read_manifest(folder).manifest.feature_spec for folder in folders]
    distinct = {(spec.backbone, spec.weights, spec.precision): spec for spec in specs}
    return list(distinct.values()) or [None]
