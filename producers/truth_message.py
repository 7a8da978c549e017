"""One message of a truth feed, as a program writes it to `sentinel:truth`: flat fields of text.

| field | |
|---|---|
| `id` | names the message; one that comes again with the same id, for the same stream, counts once |
| `stream` | the stream that the frame is of |
| `time` | when the frame was taken, RFC 3339 |
| `frame` | where the frame is from: the URI of its source, or the id that the program has for it; may be left out |
| `at` | seconds from the start of that source; may be left out |
| `loss` | a finite number, smaller is better |
| `prediction`, `label` | instead of a loss: two classes, or two lists of numbers of one length, as JSON |
| `model` | version of the model; another one has a reference of its own; may be left out |
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from common.contracts.ids import StreamName, content_id, describe
from common.contracts.truth import LARGEST, Measure, TruthRow
from common.errors import BadMessage
from common.sources.capture_time import is_plausible, parse_time

_MOST_NUMBERS = 4096  # of a list
_MOST_CHARACTERS = 100_000  # of a prediction or a label
_MOST_DIGITS = 64  # of a number
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)  # Python itself takes 1_0 for 10

Number = Annotated[str, Field(min_length=1, max_length=_MOST_DIGITS)]
Value = Annotated[str, Field(min_length=1, max_length=_MOST_CHARACTERS)]


class TruthMessage(BaseModel):
    """The fields of a message, validated. Fields that are not known are refused: they may be misspelt."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1, max_length=512)
    stream: StreamName
    time: str = Field(min_length=1, max_length=64)
    frame: str = Field("", max_length=4096)
    at: Number = "0"
    loss: Number | None = None
    prediction: Value | None = None
    label: Value | None = None
    model: str = Field("", max_length=200)

    @field_validator("time")
    @classmethod
    def _a_plausible_time(cls, value: str) -> str:
        at = parse_time(value)
        if at is None or not is_plausible(at):
            raise ValueError(
                f"{value!r:.40} is no RFC 3339 time since 1990 and at most a day ahead, like 2026-11-24T06:15:00Z"
            )
        return value

    @field_validator("frame", "model")
    @classmethod
    def _no_control_characters(cls, value: str) -> str:
        if any(unicodedata.category(character).startswith("C") for character in value):
            raise ValueError("it has a control character")
        return unicodedata.normalize("NFC", value)

    @field_validator("at")
    @classmethod
    def _not_before_the_start(cls, value: str) -> str:
        if _number(value) < 0:
            raise ValueError("seconds from the start of the source are 0 or more")
        return value

    @field_validator("loss")
    @classmethod
    def _a_number(cls, value: str | None) -> str | None:
        if value is not None:
            _number(value)
        return value

    @model_validator(mode="after")
    def _one_truth(self) -> Self:
        pair = (self.prediction is None, self.label is None)
        if pair[0] != pair[1] or pair[0] == (self.loss is None):
            raise ValueError("say either loss, or both prediction and label")
        self.measured()
        return self

    def measured(self) -> tuple[Measure, float]:
        """Return how the frame is measured, and its score; raise `ValueError` if prediction and label do not fit."""
        if self.loss is not None:
            return Measure.LOSS, -_number(self.loss)
        assert self.prediction is not None and self.label is not None  # `_one_truth`
        if self.prediction.startswith("[") is not self.label.startswith("["):
            raise ValueError("prediction and label are two classes, or two lists of numbers, and not one of each")
        if not self.prediction.startswith("["):
            return Measure.CORRECT, float(_class(self.prediction) == _class(self.label))
        made, true = _numbers("prediction", self.prediction), _numbers("label", self.label)
        if len(made) != len(true):
            raise ValueError(f"the prediction has {len(made)} numbers and the label {len(true)}: give as many")
        return Measure.ERROR, -math.fsum(abs(a - b) for a, b in zip(made, true, strict=True)) / len(made)

    def row(self) -> tuple[Measure, TruthRow]:
        """Return the measure, and the row that the message brings."""
        measure, score = self.measured()
        taken_at = parse_time(self.time)
        assert taken_at is not None  # `_a_plausible_time`
        own = content_id("truth", self.stream, self.id)
        return measure, TruthRow(id=own, taken_at=taken_at, score=score, frame=self.frame, at=_number(self.at))

    @classmethod
    def parse(cls, fields: Mapping[bytes, bytes]) -> TruthMessage:
        """Validate the fields of an entry; raise `BadMessage` naming those that are wrong."""
        try:
            texts = {name.decode(): value.decode() for name, value in fields.items()}
        except UnicodeDecodeError as error:
            raise BadMessage(f"a name or value in the message is not UTF-8 text: {error}") from error
        try:
            return cls.model_validate(texts)
        except ValidationError as error:
            raise BadMessage(f"not a message of what is true of a frame: {describe(error)}") from error


def _number(value: str) -> float:
    """Return a number that was written as text; raise `ValueError` if it is none, or not within `LARGEST`."""
    if _NUMBER.fullmatch(value) is None:
        raise ValueError(f"{value!r:.40} is no number")
    return _within(float(value))


def _within(number: float) -> float:
    if not math.isfinite(number) or abs(number) > LARGEST:
        raise ValueError(f"{number} is not a number between {-LARGEST:g} and {LARGEST:g}")
    return number


def _numbers(name: str, value: str) -> list[float]:
    """Return a list of numbers that was written as JSON; raise `ValueError` if it is none."""
    try:
        found = json.loads(value)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the {name} is no JSON list of numbers, like [0.5, 12]") from error
    if not isinstance(found, list) or not all(type(item) in {int, float} for item in found):
        raise ValueError(f"the {name} is no JSON list of numbers, like [0.5, 12]")
    if not 1 <= len(found) <= _MOST_NUMBERS:
        raise ValueError(f"the {name} has {len(found)} numbers: 1 to {_MOST_NUMBERS} are taken")
    if any(abs(item) > LARGEST for item in found):  # before a whole number of any length becomes a float
        raise ValueError(f"the {name} has a number beyond {LARGEST:g}")
    return [_within(float(item)) for item in found]


def _class(value: str) -> str | float:
    """Return what tells classes apart: the number that a text is (`3` and `3.0` are one), or the text."""
    text = unicodedata.normalize("NFC", value.strip())
    if len(text) > _MOST_DIGITS or _NUMBER.fullmatch(text) is None:
        return text
    number = float(text)
    return number if math.isfinite(number) else text
