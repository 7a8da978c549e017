"""Features of which some groups are computed of some of the frames only."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load, save

from common.errors import BadMessage
from common.features import FeatureBlock
from common.live_scores import LiveScores
from tests.common.builders import block


def seldom(frames: int, every: int, *, uri: str = "/a.mp4") -> FeatureBlock:
    """Features of which the embedding sees every `every`-th frame; its values tell which."""
    whole = block(frames, uri=uri)
    at = np.arange(0, frames, every, dtype=np.int32)
    groups = {**whole.groups, "embedding": whole.groups["embedding"][at]}
    return replace(whole, groups=groups, seen={"embedding": at})


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 4)), min_size=1, max_size=6), st.data())
def test_each_row_stays_with_its_frame_however_blocks_are_cut_joined_and_stored(
    sizes: list[tuple[int, int]], data: st.DataObject
) -> None:
    parts = [seldom(frames, every, uri=f"/{i}.mp4") for i, (frames, every) in enumerate(sizes)]
    whole = FeatureBlock.concatenate(parts)
    start = data.draw(st.integers(0, len(whole)))
    stop = data.draw(st.integers(start, len(whole)))
    cut = FeatureBlock.from_bytes(whole[start:stop].to_bytes())
    at = whole.frames_of("embedding")
    inside = at[(at >= start) & (at < stop)]
    assert cut.frames_of("embedding").tolist() == (inside - start).tolist()
    np.testing.assert_array_equal(cut.groups["embedding"][:, 0], whole.times[inside])
    np.testing.assert_array_equal(cut.groups["quality"][:, 0], whole.times[start:stop])
    again = FeatureBlock.concatenate([whole[:start], whole[start:]])
    assert again.to_bytes() == whole.to_bytes()


def test_what_is_not_computed_is_not_stored() -> None:
    assert len(seldom(64, 4).to_bytes()) < len(block(64).to_bytes())


@pytest.mark.parametrize("at", [[0, 0], [1, 0], [-1, 1], [0, 64], [0]])
def test_rows_of_frames_that_there_are_not_are_refused(at: list[int]) -> None:
    whole = block(64)
    groups = {**whole.groups, "embedding": whole.groups["embedding"][:2]}
    with pytest.raises(BadMessage):
        replace(whole, groups=groups, seen={"embedding": np.array(at, np.int32)})


def test_features_of_format_3_have_a_row_for_every_frame() -> None:
    features = block(5)
    stored = {
        "format": np.array([3], np.uint8),
        **{f"group.{name}": values for name, values in features.groups.items()},
        "times": features.times,
        "sources": np.frombuffer(json.dumps(features.sources).encode(), np.uint8),
        "source_index": features.source_index,
        "taken_at": features.taken_at,
        "time_source": features.time_source,
    }
    again = FeatureBlock.from_bytes(save(stored))
    assert again.to_bytes() == features.to_bytes()
    assert again.frames_of("embedding").tolist() == [0, 1, 2, 3, 4]


# --- live scores of a model


def scored(frames: int, every: int, *, by: str = "v1") -> FeatureBlock:
    """Features with a score of every `every`-th frame, which tells which."""
    at = np.arange(0, frames, every, dtype=np.int32)
    return replace(block(frames), scores=LiveScores(by, ("gain_db",), at[:, None].astype(np.float32), at))


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 4)), min_size=1, max_size=6), st.data())
def test_each_score_stays_with_its_frame_however_blocks_are_cut_joined_and_stored(
    sizes: list[tuple[int, int]], data: st.DataObject
) -> None:
    whole = FeatureBlock.concatenate([scored(frames, every) for frames, every in sizes])
    assert whole.scores is not None
    start = data.draw(st.integers(0, len(whole)))
    stop = data.draw(st.integers(start, len(whole)))
    cut = FeatureBlock.from_bytes(whole[start:stop].to_bytes()).scores
    assert cut is not None
    inside = (whole.scores.frames >= start) & (whole.scores.frames < stop)
    assert cut.frames.tolist() == (whole.scores.frames[inside] - start).tolist()
    np.testing.assert_array_equal(cut.values, whole.scores.values[inside])


def test_scores_of_the_version_before_are_left_out_and_blocks_may_have_none() -> None:
    joined = FeatureBlock.concatenate([scored(8, 4, by="v1"), block(8), scored(8, 4, by="v2")]).scores
    assert joined is not None
    assert (joined.by, joined.frames.tolist()) == ("v2", [16, 20])
    assert FeatureBlock.concatenate([block(4), block(4)]).scores is None
    assert FeatureBlock.from_bytes(block(4).to_bytes()).scores is None


@pytest.mark.parametrize("at", [[0, 0], [-1, 1], [0, 8]])
def test_scores_of_frames_that_there_are_not_are_refused(at: list[int]) -> None:
    with pytest.raises(BadMessage):
        replace(block(8), scores=LiveScores("v1", ("gain_db",), np.zeros((2, 1), np.float32), np.array(at, np.int32)))


@pytest.mark.parametrize("about", [b"{}", b"[]", b'{"by": 1, "columns": []}', b'{"by": "v1", "columns": ["a"]}', b"{"])
def test_stored_scores_that_were_changed_are_refused(about: bytes) -> None:
    arrays = load(scored(8, 4).to_bytes())
    values = np.zeros((2, 3), np.float32)
    with pytest.raises(BadMessage):
        FeatureBlock.from_bytes(
            save({**arrays, "scores.about": np.frombuffer(about, np.uint8), "scores.values": values})
        )
