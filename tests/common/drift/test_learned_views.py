"""Days that were learned of a camera with a view, and with an embedding of some of the frames alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from common.contracts.feature_groups import FeatureGroup, GroupKind
from common.contracts.verdicts import Status
from common.drift.baseline import Baseline
from common.drift.burst_arrays import bursts_from_bytes, bursts_to_bytes
from common.drift.bursts import Burst
from common.drift.clean_drift import CleanDrift
from common.drift.learning import fit_learned
from common.features import FeatureBlock, FloatArray
from common.modalities.video.clean_drift import clean_drift
from common.modalities.video.groups import EMBEDDING, VIEW, VIEW_MINIMUM_EFFECTS
from tests.common.drift.days import GROUPS, RULE, burst_block
from tests.common.drift.footage import FEATURE_SPEC, judge
from tests.common.drift.scene import HEIGHT, WIDTH, filmed, scene, seen

SCENE = scene()
STILL = seen(SCENE)
WITH_VIEW = (
    *GROUPS,
    FeatureGroup(name=VIEW, kind=GroupKind.VIEW, size=2 + WIDTH * HEIGHT, minimum_effects=VIEW_MINIMUM_EFFECTS),
)
HOURS = [hour + 0.1 for hour in range(0, 24, 2)]
SAMPLES = [filmed([STILL] * RULE.frames, seed=seed) for seed in range(4)]


def with_view(block: FeatureBlock, samples: FloatArray) -> FeatureBlock:
    """Return a block with a view, whose embedding is of every fourth frame."""
    frames = np.arange(0, len(block), 4, dtype=np.int32)
    groups = {**block.groups, EMBEDDING: block.groups[EMBEDDING][frames], VIEW: samples}
    return replace(block, groups=groups, seen={EMBEDDING: frames})


def learned(samples: Sequence[FloatArray]) -> Baseline:
    """Return a baseline of three days, whose bursts show `samples` in turn."""
    blocks = [burst_block(day, hour) for day in range(3) for hour in HOURS]
    shown = [with_view(block, samples[number % len(samples)]) for number, block in enumerate(blocks)]
    return fit_learned(
        [Burst.of(block, WITH_VIEW) for block in shown],
        name="days", feature_spec=FEATURE_SPEC, rule=RULE, groups=WITH_VIEW, created_at=0.0, libraries={},
    )  # fmt: skip


DAYS = learned(SAMPLES)


def test_a_camera_that_was_moved_fails_in_known_hours_and_by_much_in_unknown_ones() -> None:
    moved = filmed([seen(SCENE, right=0.035)] * RULE.frames, seed=9)
    for hour in (4.3, 12.3):
        assert judge(DAYS, with_view(burst_block(4, hour), SAMPLES[0])).status is Status.PASS
        verdict = judge(DAYS, with_view(burst_block(4, hour), moved))
        assert (verdict.status, verdict.leading_features[0].feature) == (Status.FAIL, "shift")
    night = fit_learned(
        [burst for burst in DAYS.learned.bursts if burst.moment.infrared] if DAYS.learned else [],
        name="night", feature_spec=FEATURE_SPEC, rule=RULE, groups=WITH_VIEW, created_at=0.0, libraries={},
    )  # fmt: skip
    verdict = judge(night, with_view(burst_block(4, 12.3), moved))
    assert (verdict.status, verdict.provisional) == (Status.FAIL, True)
    assert [feature.feature for feature in verdict.leading_features] == ["shift"]
    slightly = filmed([seen(SCENE, right=0.015)] * RULE.frames, seed=9)
    assert judge(night, with_view(burst_block(4, 12.3), slightly)).status is Status.PASS


def test_a_burst_keeps_one_picture_and_the_rows_that_there_are() -> None:
    burst = Burst.of(with_view(burst_block(0, 12.1), SAMPLES[0]), WITH_VIEW)
    assert [len(burst.groups[name].readings) for name in (EMBEDDING, VIEW)] == [RULE.frames // 4, 1]
    stored = bursts_to_bytes([burst, burst], WITH_VIEW)
    assert len(stored) < 2 * (6_000 + RULE.frames * 100)
    (again, _) = bursts_from_bytes(stored, WITH_VIEW)
    assert np.array_equal(again.groups[VIEW].readings, burst.groups[VIEW].readings)
    assert again.interval == burst.interval == 1.0


def test_a_camera_without_a_steady_view_is_held_against_none() -> None:
    film = [filmed([seen(scene(10 * n + i)) for i in range(RULE.frames)], seed=n) for n in range(3)]
    unsteady = learned(film)
    elsewhere = with_view(burst_block(4, 12.3), filmed([seen(scene(99))] * RULE.frames, seed=5))
    assert judge(unsteady, elsewhere).status is Status.PASS


def test_bounds_and_ranks_follow_clean_footage_of_other_cameras_too() -> None:
    drift = CleanDrift(clean_drift())
    groups, ratios = drift.applied(GROUPS), drift.ratios(GROUPS)
    bursts = [Burst.of(burst_block(day, hour), GROUPS) for day in range(3) for hour in HOURS]
    baseline = fit_learned(
        bursts, name="days", feature_spec=FEATURE_SPEC, rule=RULE, groups=groups, created_at=0.0, libraries={},
        clean_ratios=ratios,
    )  # fmt: skip
    assert baseline.learned is not None
    for group in groups:
        assert (baseline.learned.bounds[group.name].distance >= 0.69 * np.array(group.clean_effects)).all()
    verdict = judge(baseline, burst_block(4, 12.3, noise=5.0))
    assert verdict.status is Status.FAIL
    assert verdict.p_value == max(1 / (1 + len(baseline.learned.null)), 1 / (1 + len(ratios)))
