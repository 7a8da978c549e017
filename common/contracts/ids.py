"""Stream names, ids that are derived from content, and the base class of every message."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from common.errors import BadMessage

_MAX_STREAM_NAME = 200  # keeps Redis keys, which add a prefix and a suffix, readable
_ID_HEX_DIGITS = 32  # 128 bits: collisions are negligible


def check_stream_name(name: str) -> str:
    """Return `name` in Unicode NFC form.

    A name may be nested (`site/dock 3`) and in any script. Braces are refused
    because they delimit hash tags in Redis keys, control characters because they
    break terminals and logs.

    Raises
    ------
    ValueError
        If it is not a valid stream name; the message gives the rule that it breaks.
    """
    name = unicodedata.normalize("NFC", name)
    parts = name.split("/")
    if not name or len(name) > _MAX_STREAM_NAME:
        raise ValueError(f"a stream name has 1 to {_MAX_STREAM_NAME} characters, this has {len(name)}")
    if any(part in {"", ".", ".."} for part in parts):
        raise ValueError(f"stream name {name!r} has an empty, '.' or '..' part")
    if any(c in "{}\\" or unicodedata.category(c).startswith("C") for c in name):
        raise ValueError(f"stream name {name!r} has braces, a backslash or a control character")
    return name


StreamName = Annotated[str, AfterValidator(check_stream_name)]


def content_id(*parts: str | int | float | None) -> str:
    """Return an id derived from `parts`, as 32 hexadecimal digits; equal parts give equal ids on every machine."""
    digest = hashlib.blake2b(digest_size=_ID_HEX_DIGITS // 2)
    for part in parts:
        encoded = repr(part).encode()
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return digest.hexdigest()


class Message(BaseModel):
    """Base class of everything that is sent or stored: immutable, and unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def to_json(self) -> str:
        return self.model_dump_json()

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Parse and validate `text`; raise `BadMessage`, which names the invalid fields."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise BadMessage(f"not a {cls.__name__}: {describe(error)}") from error


def without_empty(fields: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return serialised `fields` without those of `names` that are empty."""
    return {name: value for name, value in fields.items() if value or name not in names}


def describe(error: ValidationError) -> str:
    """Return each invalid field with what is wrong with it, on one line."""
    return "; ".join(
        f"{'.'.join(str(step) for step in row['loc']) or 'message'}: {row['msg']}" for row in error.errors()
    )
