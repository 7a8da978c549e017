"""The tokens with which cameras post frames over HTTP: a file of their digests, each with the stream it is for.

A storage that notifies of objects has one too, under a name that no stream can have: neither opens what the other does.

    # SHA-256 of the token                                            stream
    9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08  site/dock 3
    60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752  {object-events}

A token is random and long, so a plain digest of it tells nothing. A stream may have several lines, as while its camera
changes from one token to the next. Blanks around a line are not part of it, so no stream in it begins or ends with one.
The file is read again when it has changed.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import re
import secrets
from pathlib import Path

from common.contracts.ids import check_stream_name
from common.errors import SettingsError
from common.file_signature import Signature, signature_of

log = logging.getLogger(__name__)

OBJECT_EVENTS = "{object-events}"
"""In place of a stream, for the token that notifications of object storage come with: no stream has braces."""
_TOKEN_BYTES = 32
_BLANKS = " \t\r"  # around a line; other white space is part of a name
_LINE = re.compile(r"(?P<digest>[0-9a-f]{64})[ \t]+(?P<stream>[^ \t].*)")
_MOST_BYTES = 4_000_000  # tens of thousands of cameras
_PRIVATE = 0o600


class CameraTokens:
    """Which token opens which stream.

    Parameters
    ----------
    path : the file; it may appear later
    """

    def __init__(self, path: Path) -> None:
        self._path = path.expanduser()
        self._version: Signature | None = None
        self._digests: dict[str, list[str]] = {}
        self._wrong = ""  # with the content of that version
        self._logged: tuple[Signature | None, str] | None = None

    @property
    def streams(self) -> frozenset[str]:
        """The streams that have a token."""
        return frozenset(self._digests.keys() - {OBJECT_EVENTS})

    @property
    def for_notifications(self) -> bool:
        """Whether there is a token of `OBJECT_EVENTS`."""
        return OBJECT_EVENTS in self._digests

    def admits(self, stream: str, token: str) -> bool:
        """Return whether `token` is one of `stream`, or of `OBJECT_EVENTS`, in a time that does not tell how much of it
        is right.

        Raises
        ------
        SettingsError
            If the file cannot be read: until it is mended nobody is let in. The log has it once for each change.
        """
        try:
            self.load()
        except SettingsError as error:
            self._log_once(str(error))
            raise
        self._logged = None
        given = _digest(token)
        found = False
        for known in self._digests.get(stream, [""]):  # an unknown stream takes as long as one with one token
            found |= hmac.compare_digest(given, known)
        return found

    def load(self) -> None:
        """Read the file if it has changed; raise `SettingsError` if it cannot be read. A missing one has no tokens."""
        try:
            seen = self._path.stat()
        except FileNotFoundError:
            self._version, self._digests, self._wrong = None, {}, ""
            return
        except OSError as error:
            raise _unreadable(self._path, error) from error
        version = signature_of(seen)
        if version != self._version:
            content = _content(self._path, seen.st_size)  # if it cannot be had, that may pass without a change
            self._version, self._digests, self._wrong = version, {}, ""
            try:
                self._digests = _parse(self._path, content)
            except SettingsError as error:
                self._wrong = str(error)
        if self._wrong:
            raise SettingsError(self._wrong)

    def _log_once(self, problem: str) -> None:
        if self._logged != (self._version, problem):
            log.error("no camera may post: %s", problem)
            self._logged = self._version, problem


def add_token(path: Path, stream: str) -> str:
    """Make a token for `stream`, or `OBJECT_EVENTS`, write its digest to the file, and return it: it is kept nowhere
    else.

    Raises
    ------
    SettingsError
        If the file cannot be written, or holds something else, or a line cannot hold the name of the stream.
    """
    path, token, stream = path.expanduser(), secrets.token_urlsafe(_TOKEN_BYTES), _checked(stream)
    if stream.strip(_BLANKS) != stream:
        raise SettingsError(
            f"SENTINEL_HTTP_TOKENS: {path} cannot hold the name {stream!r}, which begins or ends with a blank: "
            "give the stream another name"
        )
    try:
        if path.exists():
            _parse(path, _content(path, path.stat().st_size))
        before = "\n" if path.exists() and path.read_bytes()[-1:] not in {b"", b"\n"} else ""
        path.parent.mkdir(parents=True, exist_ok=True)
        # One write to a file that is only appended to: two commands at a time both have their line.
        line = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, _PRIVATE)
        with os.fdopen(line, "ab", buffering=0) as file:
            file.write(f"{before}{_digest(token)} {stream}\n".encode())
    except OSError as error:
        raise SettingsError(f"SENTINEL_HTTP_TOKENS: {path} cannot be written ({error.strerror})") from error
    return token


def _checked(name: str) -> str:
    return name if name == OBJECT_EVENTS else check_stream_name(name)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()


def _content(path: Path, size: int) -> bytes:
    """Return what the file holds; raise `SettingsError` if it cannot be read, or is too large."""
    if size > _MOST_BYTES:
        raise SettingsError(f"SENTINEL_HTTP_TOKENS: {path} is larger than {_MOST_BYTES} bytes, so it is not read")
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error


def _parse(path: Path, content: bytes) -> dict[str, list[str]]:
    """Return stream -> digests; raise `SettingsError` naming the line of `path` that is no such."""
    try:
        lines = content.decode().split("\n")
    except UnicodeDecodeError as error:
        raise _unreadable(path, error) from error
    found: dict[str, list[str]] = {}
    for number, text in enumerate(lines, start=1):
        line = text.strip(_BLANKS)
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        try:
            stream = _checked(match["stream"] if match else "")
        except ValueError as error:
            raise SettingsError(  # without the line, which may hold a token
                f"SENTINEL_HTTP_TOKENS: line {number} of {path} is not the SHA-256 of a token in lower case, a blank, "
                "and the name of a stream: `sentinel streams token STREAM` writes such lines"
            ) from error
        found.setdefault(stream, []).append(match["digest"] if match else "")
    return found


def _unreadable(path: Path, error: OSError | UnicodeDecodeError) -> SettingsError:
    reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
    return SettingsError(f"SENTINEL_HTTP_TOKENS: {path} cannot be read ({reason}): correct its permissions or content")
