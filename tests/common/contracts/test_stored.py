"""Stored messages and features carry a format: the one before is read, a later one is refused, nothing is guessed."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load, save

from common.contracts.batches import Chunk, FrameBatch
from common.contracts.models import ChampionRecord
from common.contracts.stored import StoredMessage
from common.contracts.verdicts import Verdict
from common.drift.windows import WindowState
from common.errors import BadMessage
from common.features import FeatureBlock, TimeSource
from tests.common.builders import batch, block, verdict

STORED: list[StoredMessage] = [batch(), batch().chunks()[1], verdict()]


@pytest.mark.parametrize("message", STORED, ids=lambda message: type(message).__name__)
def test_a_message_of_a_later_format_is_refused_and_says_what_to_do(message: StoredMessage) -> None:
    later = {**json.loads(message.to_json()), "format": 3, "new_field": 1}
    with pytest.raises(BadMessage, match=r"format 3, this version reads up to 2.*upgrade this process"):
        type(message).from_json(json.dumps(later))


@pytest.mark.parametrize("kind", [FrameBatch, Chunk])
def test_a_batch_of_format_1_is_read_under_todays_names(kind: type[FrameBatch | Chunk]) -> None:
    message = batch() if kind is FrameBatch else batch().chunks()[0]
    old = json.loads(message.to_json())
    del old["format"]
    recipe = old.pop("feature_spec")
    recipe["route"] = recipe.pop("decode_pipeline")
    assert kind.from_json(json.dumps({**old, "recipe": recipe})) == message


def test_a_verdict_of_format_1_is_read_under_todays_names() -> None:
    old = json.loads(verdict().to_json())
    for added in ("format", "taken_from", "taken_to", "time_source"):
        del old[added]
    score = {"drift_score": 0.5, "p_value": 0.1, "distance": 2.0, "bound": 1.0}
    del old["feature_groups"]
    read = Verdict.from_json(json.dumps({**old, "regime": old.pop("segment"), "views": [{"view": "quality", **score}]}))
    assert read.segment == verdict().segment
    assert read.feature_groups[0].group == "quality"
    assert read.taken_from is None
    assert read.time_source is TimeSource.UNKNOWN


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_a_message_that_is_nested_without_end_is_refused(opening: str) -> None:
    with pytest.raises(BadMessage, match="not a Chunk"):
        Chunk.from_json(opening * 100_000)


@given(
    st.binary(max_size=80)
    | st.text(max_size=40)
    | st.dictionaries(st.text(max_size=8), st.integers(), max_size=3).map(json.dumps)
)
def test_whatever_is_stored_a_message_is_read_or_refused(stored: bytes | str) -> None:
    for kind in (Chunk, FrameBatch, Verdict, ChampionRecord):
        with pytest.raises(BadMessage):
            kind.from_json(stored)


def test_features_of_a_later_format_are_refused_and_say_what_to_do() -> None:
    arrays = load(block(3).to_bytes())
    later = save({**arrays, "format": np.array([3], np.uint8)})
    with pytest.raises(BadMessage, match=r"format 3, this version reads up to 2.*upgrade this process"):
        FeatureBlock.from_bytes(later)


@given(st.binary(max_size=200))
def test_whatever_is_stored_features_are_read_or_refused(stored: bytes) -> None:
    with pytest.raises(BadMessage):
        FeatureBlock.from_bytes(stored)
    with pytest.raises(BadMessage):
        FeatureBlock.from_bytes(b"PK" + stored)


@given(st.integers(0, 1 << 12), st.integers(0, 255))
def test_features_with_a_byte_changed_are_read_or_refused(place: int, value: int) -> None:
    data = bytearray(block(2).to_bytes())
    data[place % len(data)] = value
    try:
        FeatureBlock.from_bytes(bytes(data))
    except BadMessage:
        pass


def test_a_window_of_a_later_format_is_refused_and_says_what_to_do() -> None:
    later = bytes([3]) + WindowState(5, 2).to_bytes()[1:] + b"more"
    with pytest.raises(BadMessage, match=r"format 3, this version reads up to 2.*upgrade this process"):
        WindowState.from_bytes(later)


def test_a_window_of_format_1_is_read() -> None:
    state = WindowState(position=70, opened=10, unjudged=3, feature_spec=bytes(range(16)))
    assert WindowState.from_bytes(state.to_bytes()[1:]) == state
