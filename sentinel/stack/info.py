"""What a running stack says of itself, in `<state_dir>/stack.json`, for commands in other terminals."""

from __future__ import annotations

from pathlib import Path

import psutil
from pydantic import Field, JsonValue, TypeAdapter

from common.contracts.ids import Message
from common.errors import SentinelError
from common.settings import Settings
from common.stream_config import config_path
from sentinel.stack.private_files import write_private

_FILE = "stack.json"
_NOT_TOLD = {"redis_url", "redis_password", "state_dir", "flower_password", "page_token"}
_FOLDERS = {"watch_dir", "baselines_dir"}  # their defaults too depend on the working directory
_MAY_BE_PATHS = ("baseline", "weights", "backbone")


class StackInfo(Message):
    """A running stack: where it is reached, and the settings that it was started with.

    `redis_url` holds the password: the file is this user's alone, and nothing prints it.
    """

    pid: int
    redis_url: str
    flower_url: str
    watch_dir: str
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    page_url: str = Field("", description="empty: a stack of before 0.4, which has no page")

    def write(self, state_dir: Path) -> None:
        write_private(state_dir / _FILE, self.to_json())


def read_info(state_dir: Path) -> StackInfo | None:
    """Return what the stack of `state_dir` says of itself, or None when none runs."""
    try:
        info = StackInfo.from_json((state_dir / _FILE).read_bytes())
    except (OSError, SentinelError):
        return None
    return info if psutil.pid_exists(info.pid) else None


def forget_info(state_dir: Path) -> None:
    """Remove what `StackInfo.write` left."""
    (state_dir / _FILE).unlink(missing_ok=True)


def told_settings(settings: Settings) -> dict[str, JsonValue]:
    """Return the settings that were set, in a form that means the same in every working directory."""
    given = (settings.model_fields_set - _NOT_TOLD) | _FOLDERS
    told: dict[str, JsonValue] = settings.model_dump(mode="json", include=given)
    for name in given:
        value = getattr(settings, name)
        if isinstance(value, Path):
            told[name] = str(value.expanduser().resolve())
        elif name in _MAY_BE_PATHS and value and Path(value).exists():
            told[name] = str(Path(value).resolve())
    if config := config_path(settings):
        told["config"] = str(config)
    if "allowed_roots" in given:
        told["allowed_roots"] = [str(root.expanduser().resolve()) for root in settings.allowed_roots]
    return told


def with_settings_of(info: StackInfo, settings: Settings) -> Settings:
    """Return `settings`, completed by those of the stack where they leave something open."""
    theirs: dict[str, object] = {}
    if "redis_url" not in settings.model_fields_set:
        theirs["redis_url"] = info.redis_url
    for name, value in info.settings.items():
        field = Settings.model_fields.get(name)
        if field is not None and field.annotation is not None and name not in settings.model_fields_set:
            theirs[name] = TypeAdapter[object](field.annotation).validate_python(value)
    return settings.model_copy(update=theirs)
