"""Pictures that are repeated because they come more often than golden ones did are not frozen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from common.contracts.feature_groups import FeatureGroup, GroupKind, SequenceColumn, SequenceSummary, TileSummary
from common.contracts.verdicts import Cause, Status
from common.drift.baseline import Baseline
from common.drift.cadence import interval_of, samples_per_step
from common.drift.feature_groups import between_samples
from common.features import FeatureBlock, TimeSource, time_source_code
from tests.common.drift.footage import RULE, fitted, footage, judge


def twice(block: FeatureBlock, *, seconds: float) -> FeatureBlock:
    """Return each frame of `block` twice, one frame every `seconds`."""
    doubled = FeatureBlock.concatenate([block[i : i + 1] for i in range(len(block)) for _ in range(2)])
    return replace(doubled, times=np.arange(len(doubled)) * seconds)


BASELINE = fitted(footage(600, seed=1))


def test_each_frame_twice_at_twice_the_rate_passes_and_at_the_same_rate_fails() -> None:
    half = footage(RULE.frames // 2, seed=7)
    assert judge(BASELINE, twice(half, seconds=0.05)).status is Status.PASS
    stuttering = judge(BASELINE, twice(half, seconds=0.1))
    assert (stuttering.status, stuttering.cause) == (Status.FAIL, Cause.FROZEN)


def test_a_picture_that_freezes_at_twice_the_rate_is_found() -> None:
    one = footage(1, seed=7)
    frozen = FeatureBlock.concatenate([one] * RULE.frames)
    verdict = judge(BASELINE, replace(frozen, times=np.arange(RULE.frames) * 0.05))
    assert (verdict.status, verdict.cause) == (Status.FAIL, Cause.FROZEN)


def test_the_cadence_is_stored_and_older_baselines_that_have_none_take_single_steps() -> None:
    arrays = BASELINE.to_arrays()
    again = Baseline.from_parts(BASELINE.to_manifest(), arrays)
    assert (again.segments[0].interval, again.digest) == (BASELINE.segments[0].interval, BASELINE.digest)
    older = Baseline.from_parts(BASELINE.to_manifest(), {k: v for k, v in arrays.items() if k != "0.interval"})
    window = twice(footage(RULE.frames // 2, seed=7), seconds=0.05)
    assert judge(older, window).cause is Cause.FROZEN


def test_samples_of_several_sources_and_of_gaps_do_not_count() -> None:
    block = footage(20, seed=1)
    assert interval_of(block) == pytest.approx(0.1)
    stills = FeatureBlock.concatenate([footage(1, seed=1, name=f"/{i}.jpg") for i in range(5)])
    assert interval_of(stills) is None
    assert samples_per_step(0.1, stills) == 1
    with_a_gap = replace(block, times=block.times + np.where(np.arange(20) > 9, 30.0, 0.0))
    assert samples_per_step(interval_of(with_a_gap), block) == 1
    assert samples_per_step(None, block) == samples_per_step(3.0, block) == samples_per_step(0.02, block) == 1
    assert samples_per_step(0.3, block) == 3


def test_pictures_minutes_apart_are_no_sequence_so_that_weather_is_no_flicker() -> None:
    group = FeatureGroup(
        name="quality",
        kind=GroupKind.COLUMNS,
        size=1,
        columns=("row.00",),
        minimum_effects=(0.1,),
        tiles={"row": TileSummary.NONE},
        sequences={"flicker": SequenceColumn(family="row", summary=SequenceSummary.STEP, minimum_effect=0.01)},
    )
    readings = np.array([[0.0], [0.3], [0.0], [0.3]], np.float32)

    def flicker(taken_at: list[float]) -> float:
        block = FeatureBlock(
            {"quality": readings},
            np.arange(4.0),
            ("/camera",),
            np.zeros(4, np.int32),
            np.array(taken_at),
            np.full(4, time_source_code(TimeSource.NAME), np.uint8),
        )
        return float(between_samples(group, block).max())

    assert flicker([0.0, 0.1, 0.2, 0.3]) == pytest.approx(0.3)
    assert flicker([0.0, 900.0, 1800.0, 2700.0]) == 0.0
    assert flicker([np.nan] * 4) == pytest.approx(0.3), "of unknown times"
    assert flicker([0.0, 0.1, 1800.0, 1800.1]) == pytest.approx(0.3), "two recordings"
