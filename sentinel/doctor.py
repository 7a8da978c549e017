"""Looks for what would go wrong before it does."""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path

from common.backbones import load_backbone
from common.baselines.reproducible import require_reproducible
from common.baselines.storage import find_baseline, list_baselines, load_baseline, read_manifest
from common.camera_tokens import CameraTokens
from common.contracts.batches import FeatureSpec
from common.errors import BadSource, SentinelError, SettingsError, StorageUnavailable
from common.models.kinds import why_not_ready
from common.models.names import DEFAULT_MODEL
from common.object_root import is_object_uri
from common.processes import QUEUES
from common.setting_names import given_variables, unknown_settings
from common.settings import Settings
from common.sources.cameras import camera_address
from common.sources.find import find_sources
from common.sources.local import source_path
from common.sources.objects.storage import holds_objects
from common.stream_config import config_path, stream_config
from sentinel.doctor_mqtt import examine_brokers, examine_frigate
from sentinel.doctor_redis import ADVICE, check_redis, examine_redis
from sentinel.findings import Finding, look
from sentinel.stack.local import settings_of_stack
from sentinel.stack.redis_server import find_redis_server
from sentinel.stack.tail import end_of

_LITTLE_DISK_BYTES = 1_000_000_000
_LOG_BYTES = 200_000  # of a log's end
# What a Celery worker logs when it meets bytes that are no envelope, an envelope without its fields, or a body that it
# may not read (pickle).
_FOREIGN_SIGNS = ("JSONDecodeError", "UnicodeDecodeError", "KeyError('properties')", "KeyError: 'properties'",
                  "'delivery_info'", "Can't decode message body")  # fmt: skip


def require_sound(settings: Settings) -> None:
    """Raise the first thing that would keep a stack from working; what can wait is not looked at."""
    if settings.redis_url:
        check_redis(settings.redis_url)
    _readable(settings.watch_dir, "SENTINEL_WATCH_DIR")
    _writable(settings.state_dir, "SENTINEL_STATE_DIR")
    _baseline(settings)


def examine(settings: Settings) -> list[Finding]:
    """Look at everything that the stack needs, and change nothing; each finding says what to do if it is wrong."""
    needs_redis_server = settings.redis_url is None
    settings = settings_of_stack(settings)
    return [
        look("settings", _names),
        look("redis-server", partial(_redis_binary, needs_redis_server)),
        *examine_redis(settings),
        look("workers", partial(_workers, settings)),
        look("watched folder", lambda: _readable(settings.watch_dir, "SENTINEL_WATCH_DIR")),
        look("state folder", lambda: _writable(settings.state_dir, "SENTINEL_STATE_DIR")),
        look("disk", partial(_disk, settings)),
        look("streams", partial(_streams, settings)),
        look("tokens", partial(_tokens, settings)),
        look("object storage", partial(_objects, settings)),
        look("MQTT", partial(examine_brokers, settings)),
        look("Frigate", partial(examine_frigate, settings)),
        look("models", partial(_models, settings)),
        look("baseline", partial(_reproducible_baseline, settings)),
        look("backbone", partial(_backbone, settings)),
    ]


def _names() -> str:
    if unknown := unknown_settings(given_variables()):
        raise SentinelError("; ".join(unknown))
    return "all known"


def _redis_binary(needed: bool) -> str:
    return str(find_redis_server()) if needed else "not needed, SENTINEL_REDIS_URL is set"


def _workers(settings: Settings) -> str:
    """Look into the workers' logs for an end that an untrusted message caused."""
    for queue in QUEUES:
        try:
            said = end_of(settings.state_dir / "logs" / f"{queue}.log", _LOG_BYTES)
        except OSError:
            continue
        if deaths := sum(said.count(sign) for sign in _FOREIGN_SIGNS):
            raise SentinelError(
                f"the {queue} worker met {deaths} messages lately that no Celery client wrote: {ADVICE}"
            )
    return "no sign of untrusted messages"


def _readable(path: Path, setting: str) -> str:
    """Return the folder if the stack can read it, or make it when it starts."""
    return _usable(path, setting, os.R_OK | os.X_OK, "read")


def _writable(path: Path, setting: str) -> str:
    """Return the folder if the stack can write to it, or make it when it starts."""
    return _usable(path, setting, os.R_OK | os.W_OK | os.X_OK, "written")


def _usable(path: Path, setting: str, access: int, verb: str) -> str:
    path = path.expanduser().resolve()
    if path.exists():
        if not path.is_dir():
            raise SentinelError(f"{path} is no folder: correct {setting}")
        if not os.access(path, access):
            raise SentinelError(f"{path} cannot be {verb}: change its permissions or {setting}")
        return str(path)
    parent = _nearest_existing(path)
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise SentinelError(f"{path} does not exist and cannot be made below {parent}: correct {setting}")
    return f"{path} does not exist yet, `sentinel up` makes it"


def _nearest_existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def _disk(settings: Settings) -> str:
    nearest = _nearest_existing(settings.state_dir.resolve())
    free = shutil.disk_usage(nearest).free
    if free < _LITTLE_DISK_BYTES:
        raise SentinelError(f"{free / 1e9:.1f} GB free at {nearest}: make room, Redis needs it to keep its work")
    return f"{free / 1e9:.0f} GB free"


def _tokens(settings: Settings) -> str:
    """Check the file of the cameras that may post."""
    if settings.http_tokens is None:
        return "no camera may post over HTTP: SENTINEL_HTTP_TOKENS is not set"
    tokens = CameraTokens(settings.http_tokens)
    tokens.load()
    if not tokens.streams and not tokens.for_notifications:
        raise SentinelError(
            f"{settings.http_tokens} has no token, so no camera may post: make one with `sentinel streams token STREAM`"
        )
    notified = ", and object storage may notify of objects" if tokens.for_notifications else ""
    return f"cameras of {len(tokens.streams)} streams may post over HTTP{notified}"


def _objects(settings: Settings) -> str:
    """Check that the storage answers for each prefix that sources may be below."""
    prefixes = dict.fromkeys((*settings.watch_objects, *settings.object_roots))
    empty = 0
    for prefix in prefixes:
        try:
            empty += not holds_objects(prefix, settings.object_storage)
        except FileNotFoundError as error:
            raise SettingsError(
                f"{prefix}: there is no such bucket: correct SENTINEL_WATCH_OBJECTS or SENTINEL_OBJECT_ROOTS"
            ) from error
    if not prefixes:
        return "no source may be there: neither SENTINEL_WATCH_OBJECTS nor SENTINEL_OBJECT_ROOTS is set"
    return f"{len(prefixes)} prefixes can be asked for" + (f", nothing is below {empty} of them yet" if empty else "")


def _streams(settings: Settings) -> str:
    """Check the file that configures streams, and that its sources exist."""
    path = config_path(settings)
    if path is None:
        return "all as the settings say: there is no sentinel.toml"
    streams, wrong = stream_config(settings).streams, []
    sources = {stream: table.source for stream, table in streams.items() if table.source is not None}
    for stream, source in sources.items():
        try:
            there = source_path(source, settings.roots)
            if is_object_uri(source):
                find_sources(there)
            elif not there.exists():
                wrong.append(f"source of stream {stream!r}: {source} does not exist")
        except (BadSource, SettingsError, StorageUnavailable) as error:
            wrong.append(f"source of stream {stream!r}: {error}")
    cameras = {stream: table for stream, table in streams.items() if table.url is not None}
    for stream, table in cameras.items():
        try:
            camera_address(table.url or "", table.user, table.password_env, table.password_file)
        except SettingsError as error:
            wrong.append(f"camera of stream {stream!r}: {error}")
    if wrong:
        raise SentinelError(f"{path}: " + "; ".join(wrong))
    live = f", {len(cameras)} live cameras" if cameras else ""
    return f"{path}: {len(streams)} configured, {len(sources)} with a schedule{live}"


def _models(settings: Settings) -> str:
    """Check that the models that serve streams can be used."""
    tables = stream_config(settings).streams.values()
    names = sorted({DEFAULT_MODEL, *(table.model for table in tables if table.model is not None)})
    missing = {name: why for name in names if (why := why_not_ready(name, settings.state_dir)) is not None}
    if missing:
        raise SentinelError("; ".join(f"{name}: {why}" for name, why in missing.items()))
    return ", ".join(names)


def _baseline(settings: Settings) -> str:
    names = _baselines_set(settings)
    if not names:
        if settings.learn == "auto":
            return "none set: every stream learns its own from its footage"
        return "none set: `sentinel baseline build FILES --name NAME`, then SENTINEL_BASELINE=NAME"
    found = [load_baseline(find_baseline(name, settings.baselines_dir)) for name in names]
    return ", ".join(f"{stored.baseline.name} {stored.id[:12]}" for stored in found)


def _reproducible_baseline(settings: Settings) -> str:
    """Raise `BaselineMismatch` for a baseline of another version: its streams wait, and the others go on."""
    text = _baseline(settings)
    for name in _baselines_set(settings):
        require_reproducible(load_baseline(find_baseline(name, settings.baselines_dir)))
    return text


def _baselines_set(settings: Settings) -> list[str]:
    """Return the names of the baselines that the settings and sentinel.toml give to streams, each once."""
    names = [settings.baseline, *(table.baseline for table in stream_config(settings).streams.values())]
    return list(dict.fromkeys(name for name in names if name))


def _backbone(settings: Settings) -> str:
    """Load what the baselines need. Without one nothing is loaded, for that may mean a download of weights."""
    specs = _feature_specs(settings)
    if not specs:
        return (
            f"not loaded, because there is no baseline yet: {settings.backbone} with weights {settings.weights}; "
            "`sentinel baseline build`, or the first stream that learns, loads it, and downloads it if need be"
        )
    loaded = [load_backbone(settings, spec) for spec in specs if spec.backbone]
    if not loaded:
        return "none is needed by the baselines"
    return "; ".join(f"{b.name}, weights {b.weights_digest[:12]}, {b.precision}" for b in loaded)


def _feature_specs(settings: Settings) -> list[FeatureSpec]:
    """Return the feature specs of the baselines that are set, else of all that are kept."""
    folders = [find_baseline(name, settings.baselines_dir) for name in _baselines_set(settings)]
    folders = folders or list_baselines(settings.baselines_dir)
    specs = [read_manifest(folder).manifest.feature_spec for folder in folders]
    return list({(spec.backbone, spec.weights, spec.precision): spec for spec in specs}.values())
