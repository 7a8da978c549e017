"""Passwords that stand in a file of their own: its first line, read when it is needed."""

from __future__ import annotations

from pathlib import Path

from common.errors import SettingsError

_LONGEST_PASSWORD = 1000  # bytes of a file that are read: a wrong path may lead anywhere


def read_password(path: Path, named_by: str) -> str:
    """Return the first line of the file at `path`.

    Parameters
    ----------
    named_by : what names the file, for the error

    Raises
    ------
    SettingsError
        If there is no such file, or no password in it. It does not quote the content.
    """
    try:
        if not path.is_file():
            raise SettingsError(f"{path}, which {named_by} names, is no file: make it, with the password in it")
        with path.open("rb") as file:
            password = file.read(_LONGEST_PASSWORD).decode().partition("\n")[0].rstrip("\r")
    except OSError as error:
        raise SettingsError(f"{path}, which {named_by} names, cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}, which {named_by} names, is no UTF-8 text") from error
    if not password:
        raise SettingsError(f"{path}, which {named_by} names, has no password on its first line")
    return password
