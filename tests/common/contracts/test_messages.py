from __future__ import annotations

import io
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.contracts.batches import Chunk
from common.contracts.ids import check_stream_name, content_id
from common.contracts.verdicts import Status, worst
from common.errors import BadMessage
from common.features import FeatureBlock
from tests.common.builders import batch, block, verdict


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


def test_features_survive_storage_as_float16() -> None:
    features = block(5)
    again = FeatureBlock.from_bytes(features.to_bytes())
    np.testing.assert_array_equal(again.embedding, features.as_stored().embedding)
    np.testing.assert_array_equal(again.quality, features.quality)
    assert again.sources == features.sources


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
    np.testing.assert_array_equal(again.embedding, whole.embedding)
    assert [again.source_of(i) for i in range(len(again))] == [whole.source_of(i) for i in range(len(whole))]


def test_features_of_different_widths_are_not_joined() -> None:
    with pytest.raises(BadMessage, match="widths"):
        FeatureBlock.concatenate([block(2), block(2, embedding=5)])


def test_the_worst_verdict_speaks_for_all() -> None:
    passed = verdict(status=Status.PASS).model_copy(update={"drift_score": 0.9})
    failed = verdict(status=Status.FAIL)
    assert worst([passed, failed]) is failed
