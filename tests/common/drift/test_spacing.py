"""Samples that lie farther apart than golden's: what each shows is judged, how they follow each other is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from common.contracts.feature_groups import REPEATED
from common.contracts.verdicts import Cause, Judgement, Status
from common.drift.baseline import Baseline
from common.drift.fitting import fit_baseline
from common.drift.spacing import spacing_of
from common.features import FeatureBlock
from common.modalities.video.groups import QUALITY
from tests.common.drift.footage import FEATURE_SPEC, RULE, fitted, footage, judge
from tests.common.drift.test_sequences import GROUP  # its tiles have columns made from sequences

BASELINE = fitted(footage(600, seed=1))
EVERY = 10  # of golden's samples one is a key frame


def every(block: FeatureBlock, step: int) -> FeatureBlock:
    """Return every `step`th frame of a block."""
    return FeatureBlock.concatenate([block[at : at + 1] for at in range(0, len(block), step)])


def sparse(seed: int, **how: float) -> FeatureBlock:
    return every(footage(EVERY * RULE.frames, seed=seed, **how), EVERY)  # type: ignore[arg-type]


def mixed(far: int, **how: float) -> FeatureBlock:
    """Return a window of which the first `far` samples are key frames of one source, the others every frame of one."""
    close = footage(RULE.frames - far, seed=5, name="/b.mp4", **how)  # type: ignore[arg-type]
    return FeatureBlock.concatenate([sparse(4, **how)[:far], close])


def without_interval(baseline: Baseline) -> Baseline:
    arrays = {name: values for name, values in baseline.to_arrays().items() if name != "0.interval"}
    return Baseline.from_parts(baseline.to_manifest(), arrays)


def failing(judgement: Judgement) -> set[str]:
    return {shift.feature for shift in judgement.leading_features}


def test_a_window_knows_the_time_between_its_samples() -> None:
    assert spacing_of(0.1, footage(RULE.frames, seed=2)) is None
    found = judge(BASELINE, sparse(2)).spacing
    assert found is not None
    assert (found.golden, found.window) == (pytest.approx(0.1), pytest.approx(1.0))
    assert found.share == pytest.approx((RULE.frames - 1) / RULE.frames)
    assert judge(BASELINE, footage(RULE.frames, seed=2)).spacing is None


def test_no_window_mixes_spacings_silently() -> None:
    for far in range(RULE.frames + 1):
        window = mixed(far) if far < RULE.frames else sparse(4)
        found = spacing_of(0.1, window)
        assert (found is not None) == (far - 1 > RULE.frames / 8), far


def test_recordings_that_break_off_are_compared_as_ever() -> None:
    block = footage(RULE.frames, seed=2)
    cut = replace(block, times=block.times + np.where(np.arange(RULE.frames) > 11, 30.0, 0.0))
    assert spacing_of(0.1, cut) is None
    stills = FeatureBlock.concatenate([footage(1, seed=1, name=f"/{number}.jpg") for number in range(RULE.frames)])
    assert spacing_of(0.1, stills) is None
    assert spacing_of(None, sparse(2)) is None


def test_what_moves_more_in_ten_times_the_time_is_no_fault() -> None:
    slow = fitted(footage(600, seed=1, correlation=0.995))
    seeds = range(10, 22)
    windows = [sparse(seed, correlation=0.995) for seed in seeds]
    found = [judge(slow, window) for window in windows]
    as_sequences = [judge(without_interval(slow), window) for window in windows]
    assert not any("motion" in failing(judgement) for judgement in found)
    assert sum("motion" in failing(judgement) for judgement in as_sequences) > len(seeds) // 2


def test_a_picture_that_stands_still_does_so_at_any_interval() -> None:
    one = footage(1, seed=7)
    still = FeatureBlock.concatenate([one] * RULE.frames)
    found = judge(BASELINE, replace(still, times=np.arange(RULE.frames) * 1.0))
    assert (found.status, found.cause) == (Status.FAIL, Cause.FROZEN)
    assert {"motion", REPEATED} <= failing(found)
    assert found.spacing is not None


@pytest.mark.parametrize("far", [0, 12, RULE.frames])
def test_what_samples_show_is_judged_at_any_interval(far: int) -> None:
    window = mixed(far, noise=1.5) if far < RULE.frames else sparse(4, noise=1.5)
    found = judge(BASELINE, window)
    assert (found.status, found.cause) == (Status.FAIL, Cause.NOISE)


def test_light_that_flickers_between_key_frames_is_no_fault_and_a_reason_to_look_closer() -> None:
    rng = np.random.default_rng(0)

    def lit(frames: int, seconds: float, swing: float) -> FeatureBlock:
        readings = rng.normal(0, 0.001, (frames, GROUP.size)) + swing * rng.choice([-1, 1], (frames, 1))
        return FeatureBlock(
            {QUALITY: readings.astype(np.float32)},
            np.arange(frames) * seconds,
            ("/camera.mp4",),
            np.zeros(frames, np.int32),
        )

    group = GROUP.model_copy(update={"name": QUALITY})
    golden = fit_baseline(
        [("golden", lit(400, 0.1, 0.0))], name="lit", feature_spec=FEATURE_SPEC, rule=RULE, groups=(group,),
        created_at=0.0, libraries={},
    )  # fmt: skip
    assert "step" in failing(judge(golden, lit(RULE.frames, 0.1, 0.04)))
    for swing, is_reason in [(0.04, False), (0.4, True)]:  # light that drifts goes farther in a longer time
        found = judge(golden, lit(RULE.frames, 1.0, swing))
        assert found.spacing is not None
        assert not failing(found) & set(group.sequences)
        assert (found.spacing.score > 0.3) == is_reason
