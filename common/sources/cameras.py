"""Addresses of live cameras: which URLs are taken, how they are shown, and the password that belongs to one.

A camera's URL never holds user or password: it stands in a file that people copy, in logs and in errors. The password
comes from an environment variable or a file, and is read when the camera is asked.
"""

from __future__ import annotations

import os
import re
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from common.errors import SettingsError
from common.password_file import read_password

PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
"""The schemes of live cameras, and their usual ports."""
_QUERY = re.compile(r"(?<=://)([^?]*)\?.*")  # to the line's end: a query may hold quotes too
_LONGEST_URL = 2000


@dataclass(frozen=True)
class CameraAddress:
    """Where a camera is, and who asks it. Its `repr` has no password.

    Attributes
    ----------
    url : without user and password
    user, password : None: the camera does not ask
    """

    url: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @property
    def parts(self) -> SplitResult:
        return urlsplit(self.url)

    @property
    def host(self) -> str:
        return self.parts.hostname or ""

    @property
    def port(self) -> int:
        return self.parts.port or PORTS[self.parts.scheme]

    @property
    def shown(self) -> str:
        """The URL for people and logs: without its query, in which some cameras want a password."""
        return shown_url(self.url)


def check_camera_url(url: str) -> str:
    """Return `url` if it is one of a live camera.

    Raises
    ------
    ValueError
        Which says what is wrong, and does not quote the URL: it may hold a password.
    """
    if len(url) > _LONGEST_URL:
        raise ValueError(f"it has more than {_LONGEST_URL} characters")
    if any(character.isspace() or unicodedata.category(character).startswith("C") for character in url):
        raise ValueError("it has a blank or a control character: write it as %XX")
    parts = urlsplit(url)
    if parts.scheme not in PORTS:
        raise ValueError(f"a live camera has a URL that begins with {', '.join(f'{scheme}://' for scheme in PORTS)}")
    if "@" in parts.netloc:
        raise ValueError(
            "user and password do not stand in a URL, where logs and copies would show them: take them out, and write "
            'user = "NAME" with password_env = "VARIABLE" or password_file = "FILE" below it'
        )
    try:
        port = parts.port
    except ValueError as error:
        raise ValueError("its port is no number from 1 to 65535") from error
    if not parts.hostname or port == 0:
        raise ValueError("it names no host, or port 0: write it as rtsp://HOST/PATH or rtsp://HOST:PORT/PATH")
    if parts.fragment:
        raise ValueError("it has a part behind #, which no camera sees: take it out, or write # as %23")
    return url


def shown_url(url: str) -> str:
    """Return the URL of a camera for people and logs, without its query.

    Examples
    --------
    >>> shown_url("http://cam7/video?user=admin&pwd=secret")
    'http://cam7/video?...'
    """
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}{'?...' if parts.query else ''}"


def without_query(line: str) -> str:
    """Return a line of a file or message with a URL in it, cut where the URL's query begins.

    Examples
    --------
    >>> without_query('url = "http://cam7/video?user=admin&pwd=secret"')
    'url = "http://cam7/video?...'
    """
    return _QUERY.sub(r"\1?...", line)


def camera_address(
    url: str, user: str | None = None, password_env: str | None = None, password_file: str | None = None
) -> CameraAddress:
    """Return the address with the password that belongs to it, read now.

    Raises
    ------
    SettingsError
        If the password cannot be had.
    """
    if user is None:
        return CameraAddress(url)
    password = (
        _of_environment(password_env)
        if password_env is not None
        else read_password(Path(password_file or ""), "password_file")
    )
    return CameraAddress(url, user, password)


def _of_environment(name: str) -> str:
    password = os.environ.get(name)
    if not password:
        raise SettingsError(f"the environment variable {name}, which password_env names, is not set: set it")
    return password
