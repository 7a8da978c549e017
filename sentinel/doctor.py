"""Looks for what would go wrong before it does."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from common.contracts import Message
from common.errors import SentinelError
from common.settings import Settings

_LITTLE_DISK_BYTES = 1_000_000_000


class Finding(Message):
    """One thing that was looked at."""

    what: str
    ok: bool
    detail: str


def examine(settings: Settings) -> list[Finding]:
    """Look at everything that the stack needs; each finding says what to do if it is not right."""
    checks: list[tuple[str, Callable[[Settings], str]]] = [
        ("redis-server", _redis_binary),
        ("Redis", _redis),
        ("watched folder", lambda s: _folder(s.watch_dir, "SENTINEL_WATCH_DIR")),
        ("state folder", lambda s: _folder(s.state_dir, "SENTINEL_STATE_DIR")),
        ("disk", _disk),
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
    from sentinel.redis_server import find_redis_server

    return str(find_redis_server())


def _redis(settings: Settings) -> str:
    from common.store.client import connect, without_password
    from sentinel.stack import read_info

    info = read_info(settings.state_dir)
    url = settings.redis_url or (info.redis_url if info else None)
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


def _folder(path: Path, setting: str) -> str:
    nearest = path.resolve()
    while not nearest.exists():
        nearest = nearest.parent
    if not os.access(nearest, os.W_OK):
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
    from common.champions.baselines import find_baseline, load_baseline

    if not settings.baseline:
        return "none set: `sentinel baseline build FILES --name NAME`, then SENTINEL_BASELINE=NAME"
    stored = load_baseline(find_baseline(settings.baseline, settings.baselines_dir))
    return f"{stored.baseline.name}, {stored.id[:12]}"


def _backbone(settings: Settings) -> str:
    from common.backbones import load_backbone

    backbone = load_backbone(settings)
    return f"{backbone.name}, weights {backbone.weights_digest[:12]}, {backbone.precision}"
