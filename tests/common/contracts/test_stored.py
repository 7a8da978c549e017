"""Stored messages and features carry a format: the one before is read, a later one is refused, nothing is guessed."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load, save

from common.contracts.batches import Chunk, FrameBatch
from common.contracts.models import ChampionRecord, Hold, RetrainReport
from common.contracts.stored import StoredMessage
from common.contracts.verdicts import Cause, Verdict
from common.errors import BadMessage
from common.features import FeatureBlock, TimeSource
from tests.common.builders import batch, block, condition_record, record, verdict

STORED: list[StoredMessage] = [
    batch(), batch().chunks()[1], verdict(), verdict(condition=condition_record()),
    record(2, parent=1, conditions=(condition_record(),)), Hold(model="vfi", version=2, reason="by hand", since=1.0),
]  # fmt: skip


@pytest.mark.parametrize("message", STORED, ids=lambda message: type(message).__name__)
def test_a_message_of_a_later_format_is_refused_and_says_what_to_do(message: StoredMessage) -> None:
    later = {**json.loads(message.to_json()), "format": 5, "new_field": 1}
    with pytest.raises(BadMessage, match=r"format 5, this version reads up to 4.*upgrade this process"):
        type(message).from_json(json.dumps(later))


@pytest.mark.parametrize("message", STORED, ids=lambda message: type(message).__name__)
def test_a_message_survives_storage(message: StoredMessage) -> None:
    assert type(message).from_json(message.to_json()) == message


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
    assert read.condition is None


@pytest.mark.parametrize("number", [2, 3])
@pytest.mark.parametrize("kind", [FrameBatch, Chunk])
def test_a_batch_of_formats_2_and_3_is_one_of_video(kind: type[FrameBatch | Chunk], number: int) -> None:
    message = batch() if kind is FrameBatch else batch().chunks()[0]
    old = json.loads(message.to_json())
    assert old["feature_spec"].pop("modality") == "video"
    assert kind.from_json(json.dumps({**old, "format": number})) == message


@pytest.mark.parametrize("remedy", ["training", "camera", None])
def test_a_verdict_of_format_2_loses_its_remedy_which_is_the_policys_matter(remedy: str | None) -> None:
    old = {**json.loads(verdict().to_json()), "format": 2, "remedy": remedy}
    del old["condition"]
    assert Verdict.from_json(json.dumps(old)) == verdict()
    with pytest.raises(BadMessage, match="remedy"):
        Verdict.from_json(json.dumps({**json.loads(verdict().to_json()), "remedy": remedy}))


OLD_CHAMPION = {
    "model": "dock", "version": 4, "baseline_path": "/b", "baseline_id": "b1", "model_path": "/m", "origin_id": "b0",
    "parent": 3, "reason": "+1 dB", "gain_db": 1.0, "loss_db": 0.1, "created_at": 7.0,
}  # fmt: skip


@pytest.mark.parametrize("earlier", [{}, {"format": 2}])
def test_a_champion_of_before_0_3_is_read_without_its_baseline(earlier: dict[str, int]) -> None:
    """As versions 0.1 and 0.2 wrote it. It has no weights that can be used, and is proved on nothing."""
    read = ChampionRecord.from_json(json.dumps({**OLD_CHAMPION, **earlier}))
    assert (read.model, read.version, read.parent, read.model_path) == ("dock", 4, 3, "/m")
    assert (read.gain_db, read.loss_db, read.reason, read.created_at) == (1.0, 0.1, "+1 dB", 7.0)
    assert (read.model_digest, read.conditions) == (None, ())
    assert ChampionRecord.from_json(read.to_json()) == read


def test_a_report_of_before_0_3_is_read_without_the_fails_that_it_merged() -> None:
    old = {"model": "dock", "stage": "training", "progress": 0.5, "detail": "step 10", "merged_fails": 6}
    read = RetrainReport.from_json(json.dumps(old))
    assert read == RetrainReport(model="dock", stage="training", progress=0.5, detail="step 10")
    assert RetrainReport.from_json(read.to_json()) == read


def test_a_champion_that_was_edited_by_hand_is_refused_and_names_what_is_wrong() -> None:
    good = json.loads(record(2, parent=1, conditions=(condition_record(),)).to_json())
    edits: list[tuple[dict[str, object], str]] = [
        ({"baseline_id": "b1"}, "baseline_id"),
        ({"version": 0}, "version"),
        ({"conditions": [{**good["conditions"][0], "cause": "happy"}]}, "cause"),
        ({"conditions": [{"id": "x"}]}, "conditions"),
        ({"format": 2, "version": "new"}, "version"),
    ]
    for edit, named in edits:
        with pytest.raises(BadMessage, match=f"not a ChampionRecord: .*{named}"):
            ChampionRecord.from_json(json.dumps({**good, **edit}))


def test_a_condition_counts_until_it_expires() -> None:
    condition = condition_record(expires=100.0)
    assert condition.is_live(99.9)
    assert not condition.is_live(100.0)
    assert condition.cause is Cause.NOISE


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
    later = save({**arrays, "format": np.array([5], np.uint8)})
    with pytest.raises(BadMessage, match=r"format 5, this version reads up to 4.*upgrade this process"):
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
