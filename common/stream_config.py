"""What `sentinel.toml` says of single streams.

People write the file, by hand or with `sentinel streams bind`; running processes
only read it, and notice when it has changed. A process that has read a good file
keeps to it while a later one is broken or gone.
"""

from __future__ import annotations

import logging
import stat
import time
from functools import cache
from pathlib import Path

from common.errors import SettingsError
from common.file_signature import Signature, signature_of
from common.models.names import DEFAULT_MODEL
from common.settings import Settings
from common.stream_tables import StreamConfig, parse_config

log = logging.getLogger(__name__)

_SETTLE_SECONDS = 1.0  # an editor that writes in place leaves half a file for a moment


class ConfigFile:
    """One configuration file as a running process sees it.

    Parameters
    ----------
    path : the file
    required : whether it is an error that there is none at the start
    """

    def __init__(self, path: Path, *, required: bool) -> None:
        self.path = path
        self._required = required
        self._tried: object = ""  # signature of what was read last; a string equals no signature
        self._good: StreamConfig | None = None
        self._error: SettingsError | None = None
        self._logged = ""

    def current(self) -> StreamConfig:
        """Return what the file says now, or what it said before it broke. Costs one `stat` while it is unchanged.

        Raises
        ------
        SettingsError
            If this process has not read a good file yet.
        """
        try:
            signature = self._signature()
            if signature != self._tried and not self._is_being_written(signature):
                self._good = self._read(signature)
                self._error, self._logged = None, ""
        except SettingsError as error:
            self._error = error
        if self._good is None:
            raise SettingsError(str(self._error))  # a new one: an error raised again and again grows its traceback
        if self._error is not None and str(self._error) != self._logged:
            self._logged = str(self._error)
            log.error("%s (what it said before still holds)", self._error)
        return self._good

    def _signature(self) -> Signature | None:
        """Return what changes whenever the file is written or replaced; None where there is no file."""
        try:
            return signature_of(self.path.stat())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreadable(self.path, error) from error

    def _is_being_written(self, signature: Signature | None) -> bool:
        if self._good is None or signature is None:
            return False
        return 0 <= time.time() - signature[0] / 1e9 < _SETTLE_SECONDS

    def _read(self, signature: Signature | None) -> StreamConfig:
        if signature is not None:
            content = read_config(self.path)
            # Once read, what is wrong stays wrong until it is written again; what cannot be read is tried again.
            self._tried = signature
            return parse_config(content, self.path)
        if self._good is not None:
            raise SettingsError(f"{self.path} is gone: put it back; an empty file configures no stream")
        if self._required:
            raise SettingsError(f"SENTINEL_CONFIG is {self.path}, which does not exist: correct it or make the file")
        self._tried = None
        return StreamConfig()


def config_path(settings: Settings) -> Path | None:
    """Return the absolute path of the file that is read; None where none is named and there is none."""
    path = settings.config_file
    return path if settings.config is not None or path.exists() else None


def stream_config(settings: Settings) -> StreamConfig:
    """Return what the configuration file of `settings` says now; see `ConfigFile.current`."""
    return _config_file(settings.config_file, settings.config is not None).current()


def settings_of_stream(settings: Settings, stream: str) -> Settings:
    """Return `settings` as they are for `stream`: its table in the configuration file comes first."""
    own = stream_config(settings).of(stream).overrides
    return settings.model_copy(update=own) if own else settings


def baseline_of(settings: Settings, stream: str) -> str:
    """Return the name or folder of the golden baseline that `stream` starts with.

    Raises
    ------
    SettingsError
        If none is set, or the configuration file cannot be read.
    """
    name = settings_of_stream(settings, stream).baseline
    if not name:
        raise SettingsError(
            f"stream {stream!r} has no baseline: name one from `sentinel baseline list` with `sentinel streams bind "
            "STREAM --baseline NAME` (or SENTINEL_BASELINE, for every stream that names none), or make one with "
            "`sentinel baseline build FILES --name NAME`"
        )
    return name


def model_of(settings: Settings, stream: str) -> str:
    """Return the name of the model that serves `stream`; raise `SettingsError` if the file cannot be read."""
    return stream_config(settings).of(stream).model or DEFAULT_MODEL


@cache
def _config_file(path: Path, required: bool) -> ConfigFile:
    """One reader per file and process, so that everybody in it sees the same and an error is logged once."""
    return ConfigFile(path, required=required)


def read_config(path: Path) -> bytes:
    """Return the bytes of a configuration file; raise `SettingsError` if it is no regular file or unreadable."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # reading a pipe would wait for ever
            raise SettingsError(f"{path} is no regular file: make it a text file with tables [streams.NAME]")
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> SettingsError:
    return SettingsError(f"{path} cannot be read ({error.strerror or error}): correct its permissions or its place")
