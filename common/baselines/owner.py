"""Whose an accepted baseline is: a file beside it names the one stream that may be judged by it."""

from __future__ import annotations

from pathlib import Path

from common.contracts.golden import Owner
from common.errors import BadBaseline, BadMessage

OWNER_FILE = "owner.json"


def set_owner(folder: Path, stream: str) -> None:
    """Write that the baseline in `folder` belongs to `stream`, before anything names the folder."""
    part = folder / f".{OWNER_FILE}.part"
    part.write_text(Owner(stream=stream).to_json(), encoding="utf-8")
    part.replace(folder / OWNER_FILE)


def owner_of(folder: Path) -> str | None:
    """Return the stream that the baseline in `folder` belongs to; None if it belongs to nobody in particular.

    Raises
    ------
    BadBaseline
        If the file cannot be read: then it may belong to anybody.
    """
    try:
        return Owner.from_json((folder / OWNER_FILE).read_bytes()).stream
    except FileNotFoundError:
        return None
    except (OSError, BadMessage) as error:
        raise BadBaseline(f"{folder / OWNER_FILE} cannot be read ({error}): restore it") from error
