from __future__ import annotations

import io
import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors.numpy import save

from common.contracts.batches import Chunk
from common.contracts.ids import check_stream_name, content_id
from common.contracts.verdicts import Status, worst
from common.errors import BadMessage
from common.features import FeatureBlock, FloatArray, to_half_precision
from tests.common.builders import TWO_GROUPS, batch, block, verdict


@given(
    st.lists(st.one_of(st.text(), st.integers(), st.none()), max_size=4),
    st.lists(st.one_of(st.text(), st.integers(), st.none()), max_size=4),
)
def test_content_ids_are_equal_exactly_when_their_parts_are(
    a: list[str | int | None], b: list[str | int | None]
) -> None:
    assert (content_id(*a) == content_id(*b)) == (repr(a) == repr(b))


@given(starts=st.sets(st.integers(0, 500), min_size=1, max_size=20).map(sorted))
def test_chunks_cover_their_batch_without_gap_or_overlap(starts: list[int]) -> None:
    whole = batch().model_copy(update={"starts": tuple(starts)})
    chunks = whole.chunks()
    assert [chunk.start for chunk in chunks] == starts
    assert [whole.chunk_at(chunk.id) for chunk in chunks] == list(chunks)
    assert whole.chunk_at(f"{whole.id}-{starts[-1] + 1}") is None
    assert whole.chunk_at(f"another-{starts[0]}") is None and whole.chunk_at("nonsense") is None
    assert all(before.stop == after.start for before, after in pairwise(chunks))
    assert chunks[-1].stop is None, "a header is only a promise, so the last chunk reads to the end"
    assert [c.opens_batch for c in chunks] == [True] + [False] * (len(chunks) - 1)
    assert [c.closes_batch for c in chunks] == [False] * (len(chunks) - 1) + [True]
    assert len({c.id for c in chunks}) == len(chunks)


def test_a_batch_that_goes_on_with_its_streams_footage_neither_opens_nor_closes_a_window() -> None:
    chunks = batch().model_copy(update={"continues": True}).chunks()
    assert not any(chunk.opens_batch or chunk.closes_batch for chunk in chunks)
    assert not batch().continues


def test_chunks_are_sampled_as_their_batch_is_and_the_last_of_a_sparse_one_says_that_it_ends() -> None:
    whole = batch()
    sparse = whole.model_copy(update={"sparse_fps": 0.5, "continues": True})
    assert {chunk.sample_fps for chunk in whole.chunks()} == {whole.feature_spec.sample_fps}
    assert {chunk.sample_fps for chunk in sparse.chunks()} == {0.5}
    assert {chunk.feature_spec for chunk in sparse.chunks()} == {whole.feature_spec}, "it is judged as ever"
    assert not any(chunk.ends_sparse for chunk in whole.chunks())
    assert [chunk.ends_sparse for chunk in sparse.chunks()] == [False] * (len(whole.starts) - 1) + [True]


def test_a_message_survives_json() -> None:
    chunk = batch().chunks()[1]
    assert Chunk.from_json(chunk.to_json()) == chunk


def test_a_bad_message_names_the_fields_that_are_wrong() -> None:
    with pytest.raises(BadMessage, match=r"not a Chunk: .*batch_id"):
        Chunk.from_json('{"id": "x"}')
    with pytest.raises(BadMessage, match="Chunk"):
        Chunk.from_json("not json")


@pytest.mark.parametrize("name", ["cam7", "site/dock 3", "høfn/カメラ", "a.b-c_d"])
def test_streams_may_be_nested_and_in_any_script(name: str) -> None:
    assert check_stream_name(name) == name


def test_two_ways_of_writing_a_character_are_one_stream() -> None:
    assert check_stream_name("cafe\u0301") == check_stream_name("caf\u00e9")


@pytest.mark.parametrize("name", ["", "a//b", "../x", "a/..", "/a", "{x}", "a\nb", "x" * 201])
def test_names_that_would_break_keys_or_paths_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="stream name"):
        check_stream_name(name)


names_of_groups = st.from_regex(r"[a-z][a-z0-9_]{0,9}", fullmatch=True)
numbers = st.floats(width=32, allow_nan=False)


@given(st.dictionaries(names_of_groups, arrays(np.float32, (3, 2), elements=numbers), max_size=4))
def test_features_of_any_groups_survive_storage_to_the_last_bit(groups: dict[str, FloatArray]) -> None:
    features = FeatureBlock(groups, np.arange(3.0), ("/a.csv",), np.zeros(3, np.int32))
    again = FeatureBlock.from_bytes(features.to_bytes())
    assert again.widths == features.widths
    for name, values in groups.items():
        assert again.groups[name].tobytes() == values.tobytes()
        assert again.groups[name].dtype == np.float32
    assert again.sources == features.sources


def test_features_rounded_to_half_precision_take_half_the_space() -> None:
    values = np.random.default_rng(0).normal(size=(100, 100)).astype(np.float32)
    whole, half = (
        FeatureBlock({"embedding": each}, np.arange(100.0), ("/a.mp4",), np.zeros(100, np.int32)).to_bytes()
        for each in (values, to_half_precision(values))
    )
    assert len(whole) - len(half) == 2 * values.size


def test_features_of_format_2_are_those_of_the_two_groups_of_video() -> None:
    features = block(5)
    stored = {
        "format": np.array([2], np.uint8),
        "embedding": features.groups["embedding"].astype(np.float16),
        "quality": features.groups["quality"],
        "times": features.times,
        "sources": np.frombuffer(json.dumps(features.sources).encode(), np.uint8),
        "source_index": features.source_index,
        "taken_at": features.taken_at,
        "time_source": features.time_source,
    }
    again = FeatureBlock.from_bytes(save(stored))
    assert again.widths == features.widths
    np.testing.assert_array_equal(again.groups["embedding"], features.groups["embedding"])
    np.testing.assert_array_equal(again.groups["quality"], features.groups["quality"])


@given(st.binary(max_size=300))
def test_foreign_bytes_are_never_taken_for_features(data: bytes) -> None:
    with pytest.raises(BadMessage):
        FeatureBlock.from_bytes(data)


def test_stored_features_that_carry_a_pickle_are_refused() -> None:
    buffer = io.BytesIO()
    np.savez(buffer, embedding=np.array([{}], dtype=object))
    with pytest.raises(BadMessage):
        FeatureBlock.from_bytes(buffer.getvalue())


@given(st.lists(st.integers(0, 9), min_size=1, max_size=6), st.data())
def test_slicing_and_joining_features_changes_nothing(sizes: list[int], data: st.DataObject) -> None:
    parts = [block(size, uri=f"/{i}.mp4") for i, size in enumerate(sizes)]
    whole = FeatureBlock.concatenate(parts)
    cut = data.draw(st.integers(0, len(whole)))
    again = FeatureBlock.concatenate([whole[:cut], whole[cut:]])
    np.testing.assert_array_equal(again.groups["embedding"], whole.groups["embedding"])
    assert [again.source_of(i) for i in range(len(again))] == [whole.source_of(i) for i in range(len(whole))]


def test_features_of_different_widths_are_not_joined() -> None:
    with pytest.raises(BadMessage, match="widths"):
        FeatureBlock.concatenate([block(2), block(2, widths={**TWO_GROUPS, "embedding": 5})])


def test_the_worst_verdict_speaks_for_all() -> None:
    passed = verdict(status=Status.PASS).model_copy(update={"drift_score": 0.9})
    failed = verdict(status=Status.FAIL)
    assert worst([passed, failed]) is failed
