"""A joint group that is computed of some of the frames is judged by those, beside groups of every frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from common.contracts.verdicts import Cause, Status
from common.drift.scene_change import Mixture, two_scenes
from common.drift.windows import WindowRule
from common.errors import BadMessage
from common.features import FeatureBlock, IndexArray
from tests.common.drift.footage import EMBEDDING, GROUPS, QUALITY, changed, fitted, footage, judge

RULE = WindowRule(frames=48, stride=12)


def seldom(block: FeatureBlock, every: int = 4, first: int = 0) -> FeatureBlock:
    """Return `block` with the embedding of every `every`-th frame."""
    return seen_at(block, np.arange(first, len(block), every, dtype=np.int32))


def seen_at(block: FeatureBlock, frames: IndexArray) -> FeatureBlock:
    """Return `block` with the embedding of these frames."""
    return replace(block, groups={**block.groups, EMBEDDING: block.groups[EMBEDDING][frames]}, seen={EMBEDDING: frames})


GOLDEN = footage(800, seed=1)
BASELINE = fitted(seldom(GOLDEN), rule=RULE)


def test_clean_windows_pass_and_new_content_fails_wherever_the_window_starts() -> None:
    clean = [judge(BASELINE, seldom(footage(48, seed=100 + i), first=i % 4)) for i in range(60)]
    assert sum(verdict.status is Status.FAIL for verdict in clean) <= 2
    new = [judge(BASELINE, seldom(footage(48, seed=200 + i, shift=2.0), first=i % 4)) for i in range(12)]
    assert {(verdict.status, verdict.cause) for verdict in new} == {(Status.FAIL, Cause.NEW_CONTENT)}


def test_fewer_rows_are_never_taken_for_more_independent_frames() -> None:
    every, rare = fitted(GOLDEN, rule=RULE), fitted(seldom(GOLDEN, 16), rule=RULE)
    sizes = [float(b.segments[0].groups[EMBEDDING].bounds.size[0]) for b in (every, BASELINE, rare)]
    assert sizes[2] <= 3 < sizes[0], "a window of 48 frames has three rows, and no more than those count"
    assert sizes[1] <= 12


def test_the_onset_and_the_worst_frames_are_frames_that_were_seen() -> None:
    block = seldom(FeatureBlock.concatenate([footage(24, seed=7), footage(24, seed=8, shift=3.0)]), first=1)
    verdict = judge(BASELINE, replace(block, times=np.arange(48) / 10.0))
    assert verdict.status is Status.FAIL
    assert verdict.began is not None
    assert verdict.began.time == pytest.approx(2.5), "frame 25 is the first one of the new content that was seen"
    assert {round(10 * frame.time) % 4 for frame in verdict.worst_frames} == {1}


def test_frozen_pictures_are_found_on_every_frame_seen_by_the_backbone_or_not() -> None:
    window = footage(48, seed=55)
    stuck = changed(window, quality=np.repeat(window.groups[QUALITY][:1], 48, axis=0))
    verdict = judge(BASELINE, seldom(stuck))
    assert (verdict.status, verdict.cause) == (Status.FAIL, Cause.FROZEN)
    late = changed(window, quality=np.concatenate([window.groups[QUALITY][:40]] + [window.groups[QUALITY][39:40]] * 8))
    assert judge(BASELINE, seldom(late)).cause is Cause.FROZEN, "eight frames of 48 are enough"


def test_a_window_of_which_no_frame_was_seen_is_judged_by_the_other_groups() -> None:
    none = np.zeros(0, np.int32)
    assert judge(BASELINE, seen_at(footage(48, seed=60), none)).status is Status.PASS
    assert judge(BASELINE, seen_at(footage(48, seed=60, noise=1.5), none)).cause is Cause.NOISE


def test_steps_of_a_group_that_was_not_computed_of_every_frame_are_refused() -> None:
    quality = GROUPS[1].model_copy(update={"steps_of": EMBEDDING})
    with pytest.raises(BadMessage, match="of every frame"):
        judge(replace(BASELINE, groups=(GROUPS[0], quality)), seldom(footage(48, seed=1)))


def test_scenes_are_told_apart_by_the_frames_that_were_seen() -> None:
    mixed = FeatureBlock.concatenate([footage(200, seed=1), footage(200, seed=2, shift=8.0, noise=1.0)])
    assert two_scenes(seldom(mixed), GROUPS, RULE.frames) == (Mixture.CONSECUTIVE, 200)
    assert two_scenes(seldom(footage(400, seed=3)), GROUPS, RULE.frames) is None
