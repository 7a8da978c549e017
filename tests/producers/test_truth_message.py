"""What a message of truth may say: losses, classes, numbers; everything else is refused by name."""

from __future__ import annotations

import ast
import json
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.contracts.truth import Measure
from common.errors import BadMessage
from producers.truth_message import TruthMessage
from tests.truth import BEGIN, message


def parse(**fields: str | None) -> TruthMessage:
    made = {**message(0), **fields}
    return TruthMessage.parse({name.encode(): value.encode() for name, value in made.items() if value is not None})


def measured(prediction: str, label: str) -> tuple[Measure, float]:
    return parse(prediction=prediction, label=label).measured()


def test_a_row_has_the_frames_time_and_an_id_of_its_stream_and_message() -> None:
    measure, row = parse().row()
    assert (measure, row.score, row.taken_at, row.frame, row.at) == (Measure.CORRECT, 1.0, BEGIN, "/a.mp4", 0.0)
    assert row.id == parse(label="bus").row()[1].id, "a message is known by its id"
    assert len({parse(**change).row()[1].id for change in ({}, {"id": "2"}, {"stream": "yard"})}) == 3


@pytest.mark.parametrize(
    ("prediction", "label", "score"),
    [
        ("car", "car", 1.0),
        ("car", "bus", 0.0),
        ("3", "3.0", 1.0),
        ("3", "4", 0.0),
        ("nan", "nan", 1.0),
        ("1_0", "10", 0.0),
        ("\u0663", "3", 0.0),
        ("1e999", "1e998", 0.0),
        (" car", "car", 1.0),
        ("e\u0301t\u00e9", "\u00e9t\u00e9", 1.0),
    ],
)
def test_classes_are_right_or_wrong(prediction: str, label: str, score: float) -> None:
    assert measured(prediction, label) == (Measure.CORRECT, score)


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), min_size=1, max_size=20))
def test_lists_of_numbers_have_their_mean_absolute_error(pairs: list[tuple[float, float]]) -> None:
    made, true = (json.dumps(list(side)) for side in zip(*pairs, strict=True))
    measure, score = measured(made, true)
    assert measure is Measure.ERROR
    assert score == pytest.approx(-sum(abs(a - b) for a, b in pairs) / len(pairs))


def test_a_loss_is_smaller_is_better() -> None:
    assert parse(prediction=None, label=None, loss="0.25").measured() == (Measure.LOSS, -0.25)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"id": ""}, "id"),
        ({"id": "x" * 513}, "id"),
        ({"id": None}, "id"),
        ({"stream": "../x"}, "stream name"),
        ({"stream": None}, "stream"),
        ({"time": None}, "time"),
        ({"time": "yesterday"}, "RFC 3339"),
        ({"time": "1970-01-01T00:00:00Z"}, "since 1990"),
        ({"time": "2999-01-01T00:00:00Z"}, "a day ahead"),
        ({"frame": "/a\n.mp4"}, "control character"),
        ({"frame": "/" + "x" * 4096}, "frame"),
        ({"model": "\u202ev3"}, "control character"),
        ({"model": "v" * 201}, "model"),
        ({"at": "-1"}, "0 or more"),
        ({"at": "nan"}, "is no number"),
        ({"label": None}, "say either loss, or both"),
        ({"prediction": None, "label": None}, "say either loss, or both"),
        ({"loss": "1"}, "say either loss, or both"),
        ({"prediction": None, "label": None, "loss": "nan"}, "is no number"),
        ({"prediction": None, "label": None, "loss": "1_0"}, "is no number"),
        ({"prediction": None, "label": None, "loss": "1e999"}, "not a number between"),
        ({"prediction": None, "label": None, "loss": "1e10"}, "not a number between"),
        ({"prediction": None, "label": None, "loss": "small"}, "is no number"),
        ({"prediction": None, "label": None, "loss": "9" * 65}, "loss"),
        ({"prediction": "[1]"}, "and not one of each"),
        ({"prediction": "[1, 2]", "label": "[1]"}, "give as many"),
        ({"prediction": "[]", "label": "[]"}, "1 to 4096"),
        ({"prediction": "[1", "label": "[1]"}, "no JSON list"),
        ({"prediction": "[NaN]", "label": "[1]"}, "not a number between"),
        ({"prediction": "[1e999]", "label": "[1]"}, "beyond"),
        ({"prediction": f"[{'9' * 400}]", "label": "[1]"}, "beyond"),
        ({"prediction": '["1"]', "label": "[1]"}, "no JSON list"),
        ({"prediction": "[true]", "label": "[1]"}, "no JSON list"),
        ({"prediction": "[[1]]", "label": "[1]"}, "no JSON list"),
        ({"prediction": "[" * 50_000, "label": "[1]"}, "no JSON list"),
        ({"prediction": str([0] * 4097), "label": "[1]"}, "1 to 4096"),
        ({"prediction": "x" * 100_001}, "prediction"),
        ({"lable": "car"}, "lable"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, str | None], reason: str) -> None:
    with pytest.raises(BadMessage, match=reason) as caught:
        parse(**change)
    assert len(str(caught.value)) < 1_000


@given(st.dictionaries(st.sampled_from([*message(0), "loss"]).map(str.encode) | st.binary(), st.binary()))
def test_bytes_of_any_kind_are_a_message_or_refused(fields: dict[bytes, bytes]) -> None:
    try:
        assert TruthMessage.parse(fields).row()
    except BadMessage:
        pass


def test_the_messages_that_the_docs_show_are_taken_in() -> None:
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
    command = page.partition("XADD sentinel:truth '*' ")[2].partition("```")[0].replace("\\\n", " ")
    words = shlex.split(command)
    said = dict(zip(words[::2], words[1::2], strict=True))
    program = page.partition('"sentinel:truth",\n')[2].partition(")\n```")[0]
    for fields, measure in ((said, Measure.CORRECT), (ast.literal_eval(program.strip().rstrip(",")), Measure.LOSS)):
        shown = TruthMessage.parse({name.encode(): value.encode() for name, value in fields.items()})
        assert (shown.stream, shown.measured()[0]) == ("cam7", measure)
