"""The tables of `sentinel.toml`, `[streams.NAME]` and `[models.NAME]`: their keys, and what is said of a wrong one."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from common.contracts.ids import check_stream_name
from common.contracts.zones import Zone, as_zones
from common.cron import check_cron_line
from common.errors import SettingsError
from common.models.kinds import check_kind_name
from common.object_root import check_object_uri, is_object_uri
from common.settings import Unit
from common.sources.cameras import check_camera_url

_STREAMS = "streams"
_MODELS = "models"
_NO_SETTINGS = {"model", "schedule", "source", "url", "user", "password_env", "password_file", "sample"}
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
# What is quoted of a line that is no TOML: the head of a table, or a key; behind it there may be a camera's password.
_QUOTED = re.compile(r"\[[^=:]*|[^=:\s]*")
_LINE = re.compile(r"at line (\d+)")


def _check_text(text: str) -> str:
    if not text or any(unicodedata.category(c) == "Cc" for c in text):
        raise ValueError("it is empty or has a control character")
    return text


_Text = Annotated[str, AfterValidator(_check_text)]


class StreamTable(BaseModel):
    """One table: how a stream differs from the settings, and the source that beat submits for it.

    Validate with the context `{"folder": Path}`, the folder that relative paths start from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    baseline: _Text | None = Field(
        None, description="name of the golden baseline, or its folder (anything with a slash), instead of "
        "SENTINEL_BASELINE"
    )  # fmt: skip
    model: _Text | None = Field(None, description="name of the model that serves the stream, instead of vfi")
    schedule: _Text | None = Field(None, description="when beat hands `source` in, as a cron line in UTC")
    source: _Text | None = Field(None, description="the video, image, folder, object or prefix that beat submits")
    url: _Text | None = Field(
        None, description="the live camera that is fetched: an rtsp, rtsps, http or https URL without user and password"
    )
    user: _Text | None = Field(None, description="who asks the camera, if it wants to know")
    password_env: _Text | None = Field(None, description="environment variable with the camera's password")
    password_file: _Text | None = Field(None, description="file with the camera's password on its first line")
    sample: Literal["all", "key"] | None = Field(
        None, description="which frames of the camera are stored and judged: all, or key frames alone; unset: all"
    )
    drift_threshold: Unit | None = Field(None, description="instead of SENTINEL_DRIFT_THRESHOLD")
    p_value: Unit | None = Field(None, description="instead of SENTINEL_P_VALUE")
    closer_score: Unit | None = Field(None, description="instead of SENTINEL_CLOSER_SCORE")
    false_alarms_per_day: Annotated[float, Field(gt=0)] | None = Field(
        None, description="instead of SENTINEL_FALSE_ALARMS_PER_DAY"
    )
    ignore: tuple[Zone, ...] | None = Field(
        None, description="zones of the picture that are left out, such as a clock: `[[x, y, width, height], ...]` in "
        "shares of the picture; the stream's baseline must have been made with the same"
    )  # fmt: skip
    offline_seconds: Annotated[float, Field(ge=0)] | None = Field(
        None, description="instead of SENTINEL_OFFLINE_SECONDS"
    )

    @field_validator("schedule")
    @classmethod
    def _is_a_cron_line(cls, line: str | None) -> str | None:
        return line if line is None else check_cron_line(line)

    @field_validator("ignore", mode="before")
    @classmethod
    def _are_zones(cls, value: object) -> object:
        return value if value is None else as_zones(value)

    @field_validator("model")
    @classmethod
    def _is_offered(cls, name: str | None) -> str | None:
        return name if name is None else check_kind_name(name)

    @field_validator("url")
    @classmethod
    def _is_a_camera(cls, url: str | None) -> str | None:
        return url if url is None else check_camera_url(url)

    @field_validator("baseline", "source", "password_file")
    @classmethod
    def _starts_at_the_file(cls, text: str | None, info: ValidationInfo) -> str | None:
        if text is None or (info.field_name == "baseline" and "/" not in text):
            return text
        if info.field_name == "source" and is_object_uri(text):
            return check_object_uri(text)
        if "://" in text:
            raise ValueError("it is a URL: paths are read here, and, as a source, objects such as s3://bucket/key")
        try:
            return str((info.context or {})["folder"] / Path(text).expanduser())
        except RuntimeError as error:  # the home of a user that there is not
            raise ValueError(f"{text!r} is no path that can be followed ({error})") from error

    @model_validator(mode="after")
    def _schedule_and_source_come_together(self) -> StreamTable:
        if (self.schedule is None) != (self.source is None):
            there, missing = ("schedule", "source") if self.source is None else ("source", "schedule")
            raise ValueError(f"{there!r} needs {missing!r} beside it: beat hands a source in at its times")
        return self

    @model_validator(mode="after")
    def _a_camera_has_an_address(self) -> StreamTable:
        asked = [key for key in ("user", "password_env", "password_file", "sample") if getattr(self, key) is not None]
        if asked and self.url is None:
            raise ValueError(f"{asked[0]!r} needs 'url' beside it: the camera that is fetched")
        passwords = (self.password_env is not None) + (self.password_file is not None)
        if passwords > 1 or (passwords == 1) != (self.user is not None):
            raise ValueError("a camera's 'user' comes with either 'password_env' or 'password_file', and not without")
        return self

    @property
    def overrides(self) -> dict[str, object]:
        """The settings that this stream has a value of its own for."""
        return self.model_dump(exclude=_NO_SETTINGS, exclude_none=True)


_NOTHING_SET = StreamTable()


@dataclass(frozen=True)
class StreamConfig:
    """All that the file says.

    Attributes
    ----------
    streams : the tables `[streams.NAME]` by the stream's name; a stream that has none follows the settings
    models : the names of the tables `[models.NAME]`
    """

    streams: Mapping[str, StreamTable] = field(default_factory=dict)
    models: tuple[str, ...] = ()

    def of(self, stream: str) -> StreamTable:
        """Return what is set for `stream`; nothing, where it has no table."""
        return self.streams.get(stream, _NOTHING_SET)


def parse_config(content: bytes, path: Path) -> StreamConfig:
    """Return what `content`, the bytes of `path`, configures.

    Raises
    ------
    SettingsError
        Naming every line or table that is wrong.
    """
    data = _toml(content, path)
    known = (_STREAMS, _MODELS)
    problems = [_unknown(key, known, "at the top", data[key]) for key in data if key not in known]
    streams = _streams(data.get(_STREAMS, {}), path.absolute().parent, problems)
    models = _models(data.get(_MODELS, {}), problems)
    if problems:
        raise SettingsError(f"{path}: " + "; ".join(problems))
    return StreamConfig(streams, models)


def _streams(tables: object, folder: Path, problems: list[str]) -> dict[str, StreamTable]:
    """Return the tables below `[streams]`; what is wrong with them is added to `problems`."""
    if not isinstance(tables, dict):
        problems.append(f"'{_STREAMS}' is no table: write [streams.NAME] for each stream")
        return {}
    found: dict[str, StreamTable] = {}
    for written, row in tables.items():
        table = f"[{_STREAMS}.{_key(written)}]"
        try:
            name = check_stream_name(written)
            if name in found:
                raise ValueError("this stream stands there twice, written in two Unicode forms: keep one of the tables")
        except ValueError as error:
            problems.append(f"{table}: {error}")
            continue
        found[name] = StreamTable()
        if not isinstance(row, dict):
            problems.append(f"{_key(written)!r} in [{_STREAMS}] is no table: write {table} with its keys below")
            continue
        problems += [_unknown(key, StreamTable.model_fields, f"in {table}", row[key])
                     for key in row if key not in StreamTable.model_fields]  # fmt: skip
        try:
            known = {key: value for key, value in row.items() if key in StreamTable.model_fields}
            found[name] = StreamTable.model_validate(known, context={"folder": folder})
        except ValidationError as error:
            problems += [_problem(row_of, table) for row_of in error.errors()]
    return found


def _models(tables: object, problems: list[str]) -> tuple[str, ...]:
    """Return the names below `[models]`; what is wrong with them is added to `problems`."""
    if not isinstance(tables, dict):
        problems.append(f"'{_MODELS}' is no table: write [models.NAME] for each model")
        return ()
    for name, row in tables.items():
        table = f"[{_MODELS}.{_key(name)}]"
        if not isinstance(row, dict):
            problems.append(f"{_key(name)!r} in [{_MODELS}] is no table: write {table}")
            continue
        try:
            check_kind_name(name)
        except ValueError as error:
            problems.append(f"{table}: {error}")
        problems += [f"unknown key {key!r} in {table}: a model has no keys of its own yet" for key in row]
    return tuple(tables)


def _toml(content: bytes, path: Path) -> dict[str, Any]:
    try:
        text = content.decode("utf-8-sig")  # editors on Windows put a mark in front
        return tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{path}, line {line}: this is no UTF-8 text: save the file as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        number = _LINE.search(str(error))
        lines = text.split("\n")
        line_text = lines[int(number[1]) - 1].strip() if number and int(number[1]) <= len(lines) else ""
        hint = (
            '; names with a slash, space or other sign stand in quotes, as in [streams."site/dock 3"]'
            if line_text.startswith("[")
            else ""
        )
        quoted = _QUOTED.match(line_text)
        where = f", line {number[1]}, {quoted[0]!r}" if number and quoted else ""
        raise SettingsError(f"{path}{where}: this is no TOML ({error}){hint}") from error
    except RecursionError as error:
        raise SettingsError(
            f"{path} is nested too deeply: it has tables [streams.NAME] and [models.NAME], and nothing below"
        ) from error


def _unknown(key: str, known: Iterable[str], where: str, value: object) -> str:
    """Return the message about a `key` that no table of this kind has, with what may be meant."""
    close = difflib.get_close_matches(key, known, n=1)
    if close:
        hint = f"is {close[0]!r} meant?"
    elif where == "at the top":
        hint = "keys of a stream stand below [streams.NAME]" if key in StreamTable.model_fields else _expected(known)
    elif isinstance(value, dict):
        hint = "a name with a dot or slash stands in quotes, as in [streams.\"site/dock 3\"]"  # fmt: skip
    else:
        hint = _expected(known)
    return f"unknown key {key!r} {where}: {hint}"


def _expected(known: Iterable[str]) -> str:
    return "there may be " + ", ".join(known)


def _problem(error: Any, table: str) -> str:
    key = ".".join(str(step) for step in error["loc"])
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{key!r} in {table}: {message}" if key else f"{table}: {message}"


def _key(name: str) -> str:
    """Return `name` as TOML writes it in the head of a table."""
    return name if _BARE_KEY.fullmatch(name) else json.dumps(name, ensure_ascii=not name.isprintable())
