"""Writing a stream's table in sentinel.toml, so that whatever else people wrote there stays as it is."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import InlineTable

from common.contracts.ids import check_stream_name
from common.errors import SettingsError
from common.sources.cameras import without_query
from common.stream_config import read_config
from common.stream_tables import StreamConfig, StreamTable, parse_config

_STREAMS = "streams"
_MARK = "\ufeff"  # that editors on Windows put in front
_NEW_FILE_MODE = 0o644


@dataclass(frozen=True)
class Edit:
    """A change of the configuration file that has not been written yet.

    Attributes
    ----------
    path : the file
    before, after : its content; `before` is None if there is no such file yet
    """

    path: Path
    before: bytes | None
    after: bytes

    @property
    def changes(self) -> bool:
        """Whether it would change the file."""
        return self.before != self.after

    def write(self) -> None:
        """Replace the file in one step; a link stays a link.

        Raises
        ------
        SettingsError
            If somebody has changed it since it was read, or it cannot be written.
        """
        target = self.path.resolve()
        if _content(self.path) != self.before:
            raise SettingsError(f"{self.path} was changed by somebody else meanwhile: say it again")
        try:
            mode = target.stat().st_mode & 0o777 if self.before is not None else _NEW_FILE_MODE
            descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
            part = Path(name)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(self.after)
                    file.flush()
                    os.fsync(file.fileno())
                part.chmod(mode)
                part.replace(target)
            except BaseException:
                part.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise SettingsError(f"{self.path} cannot be written ({error.strerror or error}): see its folder") from error


def bind(path: Path, stream: str, **keys: str | None) -> Edit:
    """Return the change that gives `stream` these keys; other keys and tables keep what they say.

    Parameters
    ----------
    path : the configuration file; it may not exist yet
    stream : a valid name
    keys : what its table is to say, such as `baseline`; None: as it is

    Raises
    ------
    SettingsError
        If the file cannot be read, has an error, or has a form that cannot be edited without loss.
    """
    before = _content(path)
    now = parse_config(before, path) if before is not None else StreamConfig()
    text = before.decode("utf-8-sig") if before is not None else ""
    wanted = {key: value for key, value in keys.items() if value is not None}
    try:
        edited = _edited(text, stream, wanted)
    except (TOMLKitError, TypeError, ValueError, KeyError) as error:
        raise _by_hand(path, stream, wanted) from error
    if text.count("\r\n") * 2 > text.count("\n"):
        edited = edited.replace("\r\n", "\n").replace("\n", "\r\n")
    mark = _MARK if before is not None and before.startswith(_MARK.encode()) else ""
    after = (mark + edited).encode()
    # Whatever the library did, the file must say the same as before but for the keys that are asked for.
    if parse_config(after, path) != _expected(now, stream, wanted, path):
        raise _by_hand(path, stream, wanted)
    return Edit(path, before, after)


def _edited(text: str, stream: str, wanted: dict[str, str]) -> str:
    """Return the file's text with the keys set; a stream without a table gets one at the end."""
    document = tomlkit.parse(text)
    streams = document.get(_STREAMS, {})
    written = next((key for key in streams if check_stream_name(key) == stream), None)
    if written is not None:
        for key, value in wanted.items():
            streams[written][key] = value
        return tomlkit.dumps(document)
    if isinstance(streams, InlineTable):
        table = tomlkit.inline_table()
        table.update(wanted)
        streams.append(tomlkit.key([stream]), table)
        return tomlkit.dumps(document)
    table_of_its_own = tomlkit.table()
    table_of_its_own.update(wanted)
    head = f"[{_STREAMS}.{tomlkit.key([stream]).as_string()}]\n"
    gap = "" if not text.strip() else "\n" if text.endswith("\n") else "\n\n"
    return f"{text}{gap}{head}{table_of_its_own.as_string()}"


def _expected(now: StreamConfig, stream: str, wanted: dict[str, str], path: Path) -> StreamConfig:
    context = {"folder": path.absolute().parent}
    known = now.of(stream).model_dump(exclude_none=True)
    table = StreamTable.model_validate({**known, **wanted}, context=context)
    return replace(now, streams={**now.streams, stream: table})


def _content(path: Path) -> bytes | None:
    return read_config(path) if path.exists() else None


def _by_hand(path: Path, stream: str, wanted: dict[str, str]) -> SettingsError:
    keys = " and ".join(f"{key} = {without_query(value)!r}" for key, value in wanted.items())
    return SettingsError(
        f"{path} has a form that cannot be edited without loss: write {keys} into the table of stream {stream!r} "
        "by hand"
    )
