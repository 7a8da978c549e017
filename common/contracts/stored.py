"""Messages that are kept in Redis or on disk, and outlive the version that wrote them.

Each carries a format number. A message without one was written by version 0.1
and has format 1; a class whose fields have changed since overrides
`from_format_1`. A message of a later format is refused, never guessed at.
"""

from __future__ import annotations

import json
from typing import Any, Final, Literal, Self

from pydantic import ValidationError

from common.contracts.ids import Message, describe
from common.errors import BadMessage

FORMAT: Final = 2

Fields = dict[str, Any]
"""A message as JSON gives it, before validation."""


class StoredMessage(Message):
    """Base of messages that are stored."""

    format: Literal[2] = FORMAT

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Parse and validate what this version or 0.1 wrote; raise `BadMessage` for anything else."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            # The usual case is one fast pass; only a message that fails it is looked at more closely.
            return cls._from_other_format(text, error)

    @classmethod
    def from_format_1(cls, fields: Fields) -> Fields:
        """Return the fields of format 1 as this version names them."""
        return fields

    @classmethod
    def _from_other_format(cls, text: str | bytes, error: ValidationError) -> Self:
        fields = _fields(text)
        stored = fields.get("format", 1)
        if isinstance(stored, int) and stored > FORMAT:
            raise BadMessage(
                f"a stored {cls.__name__} has format {stored}, this version reads up to {FORMAT}: "
                "it was written by a newer version; upgrade this process"
            ) from error
        if stored == 1:
            try:
                return cls.model_validate(cls.from_format_1(fields))
            except (ValidationError, AttributeError, KeyError, TypeError, ValueError):
                pass  # the first error names the fields as users of this version know them
        raise BadMessage(f"not a {cls.__name__}: {describe(error)}") from error


def _fields(text: str | bytes) -> Fields:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):  # no UTF-8, no JSON, or nested without end
        return {"format": 0}
    return fields if isinstance(fields, dict) else {"format": 0}
