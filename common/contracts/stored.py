"""Messages that are stored in Redis or on disk, where a later version of Sentinel may read them.

Each carries a format number. A message without one was written by version 0.1
and has format 1, version 0.2 wrote format 2, version 0.3 format 3. A class whose
fields have changed since overrides `from_format_1`, `from_format_2` or
`from_format_3`; an older message passes through all that follow its own. A message
of a later format is refused. One that stands inside another carries a format of its
own, which the outer class has to convert too, as `IncidentLog` does.
"""

from __future__ import annotations

import json
from typing import Any, Final, Literal, Self

from pydantic import ValidationError

from common.contracts.ids import Message, describe
from common.errors import BadMessage

FORMAT: Final = 4

Fields = dict[str, Any]
"""The fields of a message as parsed from JSON, before validation."""


class StoredMessage(Message):
    """Base class of messages that are stored."""

    format: Literal[4] = FORMAT

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Parse and validate a message of this version or an earlier one; raise `BadMessage` for anything else."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            # Most messages have the current format and are parsed in one pass; only others need a second look.
            return cls._from_other_format(text, error)

    @classmethod
    def from_format_1(cls, fields: Fields) -> Fields:
        """Return the fields of a message of format 1 under the names of format 2."""
        return fields

    @classmethod
    def from_format_2(cls, fields: Fields) -> Fields:
        """Return the fields of a message of format 2 under the names of format 3."""
        return fields

    @classmethod
    def from_format_3(cls, fields: Fields) -> Fields:
        """Return the fields of a message of format 3 under the names of this version."""
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
        if stored in {1, 2, 3}:
            try:
                for convert in (cls.from_format_1, cls.from_format_2, cls.from_format_3)[stored - 1 :]:
                    fields = convert(fields)
                return cls.model_validate({**fields, "format": FORMAT})
            except (ValidationError, AttributeError, KeyError, TypeError, ValueError):
                pass  # the first error names the fields as this version does
        raise BadMessage(f"not a {cls.__name__}: {describe(error)}") from error


def _fields(text: str | bytes) -> Fields:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):  # no UTF-8, no JSON, or nested without end
        return {"format": 0}
    return fields if isinstance(fields, dict) else {"format": 0}
