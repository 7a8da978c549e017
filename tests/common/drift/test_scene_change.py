"""Golden footage of two cameras is refused; footage of one scene is accepted, however much it changes."""

from __future__ import annotations

import numpy as np
import pytest

from common.drift.scene_change import Mixture, two_scenes
from common.errors import BadBaseline
from common.features import FeatureBlock
from tests.common.drift.footage import EMBEDDING, GROUPS, RULE, changed, fitted, footage


def other(frames: int, seed: int = 2) -> FeatureBlock:
    """Return footage of a second camera, with other content and more noise."""
    return footage(frames, seed=seed, shift=8.0, noise=1.0)


def alternating(frames: int) -> FeatureBlock:
    one, two = footage(frames, seed=1), other(frames)
    return FeatureBlock.concatenate([row[i : i + 1] for i in range(frames) for row in (one, two)])


def test_two_consecutive_cameras_are_refused_with_the_time_of_the_change() -> None:
    mixed = FeatureBlock.concatenate([footage(200, seed=1), other(150)])
    assert two_scenes(mixed, GROUPS, RULE.frames) == (Mixture.CONSECUTIVE, 200)
    with pytest.raises(BadBaseline, match="cut the clip there and give both parts"):
        fitted(mixed)
    assert len(fitted(mixed[:200], mixed[200:]).segments) == 2, "as two clips they are two segments"


def test_two_interleaved_cameras_are_refused() -> None:
    found = two_scenes(alternating(100), GROUPS, RULE.frames)
    assert found is not None
    assert found[0] is Mixture.ALTERNATING
    with pytest.raises(BadBaseline, match="alternates"):
        fitted(alternating(100))


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9, 0.97])
def test_one_scene_is_accepted(correlation: float) -> None:
    found = [two_scenes(footage(200, seed=seed, correlation=correlation), GROUPS, RULE.frames) for seed in range(30)]
    assert not any(found)


def test_a_scene_that_changes_and_changes_back_is_accepted() -> None:
    """As when somebody walks past twice."""
    shift = np.zeros(200)
    shift[60:90] = shift[150:170] = 8.0
    visits = footage(200, seed=3)
    visits = changed(visits, embedding=(visits.groups[EMBEDDING] + shift[:, None]).astype(np.float32))
    assert two_scenes(visits, GROUPS, RULE.frames) is None
