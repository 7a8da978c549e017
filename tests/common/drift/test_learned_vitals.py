"""Vitals and resolution of a camera that is learned over days, of which some bursts are stills."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from common.contracts.verdicts import Cause, Judgement, Status
from common.drift.baseline import Baseline
from common.drift.bursts import Burst
from common.drift.feature_groups import size_columns
from common.drift.judge import judge
from common.drift.learning import fit_learned
from common.drift.windows import WindowRule
from common.features import FeatureBlock
from common.modalities.video.diagnosis import diagnose
from common.modalities.video.groups import QUALITY, VITALS
from tests.learning import DAY, FEATURE_SPEC, FRAMES, GROUPS, HOUR, MORNING, shot

FAULTLESS = (np.log(0.04), 0.0, np.log(2.0), np.log(1e5), 0.0)


def recorded(at: float, *, missing: float = 0.0, seed: int = 0) -> FeatureBlock:
    """Return a window of a recording; its first frame is that of the file and has no vitals."""
    block = shot(at, seed=seed)
    rows = np.tile(np.array(FAULTLESS, np.float32), (FRAMES - 1, 1))
    rows[:, 1] = missing
    return replace(block, groups={**block.groups, VITALS: rows}, seen={VITALS: np.arange(1, FRAMES, dtype=np.int32)})


def of_size(block: FeatureBlock, width: int, height: int) -> FeatureBlock:
    quality = next(group for group in GROUPS if group.name == QUALITY)
    readings = block.groups[QUALITY].copy()
    readings[:, size_columns(quality)] = width, height
    edges = [number for number, name in enumerate(quality.columns) if name.startswith("edge_")]
    readings[:, edges] -= 1.0
    return replace(block, groups={**block.groups, QUALITY: readings})


def learned(blocks: list[FeatureBlock]) -> Baseline:
    return fit_learned(
        [Burst.of(block, GROUPS) for block in blocks], name="days", feature_spec=FEATURE_SPEC,
        rule=WindowRule(frames=FRAMES, stride=FRAMES), groups=GROUPS, created_at=0.0, libraries={},
    )  # fmt: skip


MOMENTS = [MORNING + day * DAY + hour * HOUR for day in range(3) for hour in range(10)]


@pytest.fixture(scope="module")
def baseline() -> Baseline:
    """Of three days; every second burst is of stills, and one is of another size."""
    blocks = [recorded(at, seed=1) if number % 2 else shot(at, seed=1) for number, at in enumerate(MOMENTS)]
    return learned([*blocks, of_size(recorded(MORNING + 10.5 * HOUR), 40, 20)])


def judged(baseline: Baseline, block: FeatureBlock) -> Judgement:
    return judge(baseline, block, diagnose=diagnose)


@pytest.mark.parametrize("hour", [5.2, 18.0])
def test_missing_frames_are_found_in_hours_that_are_known_and_in_others(baseline: Baseline, hour: float) -> None:
    at = MORNING + 3 * DAY + hour * HOUR
    verdict = judged(baseline, recorded(at, missing=0.5))
    assert (verdict.status, verdict.cause) == (Status.FAIL, Cause.MISSING_FRAMES)
    assert verdict.provisional is (hour > 12)
    for clean in (recorded(at), shot(at)):
        assert judged(baseline, clean).status is Status.PASS


def test_of_stills_alone_no_vitals_are_known() -> None:
    stills = learned([shot(at, seed=1) for at in MOMENTS])
    assert judged(stills, recorded(MORNING + 3 * DAY + 5.2 * HOUR, missing=0.5)).status is Status.PASS


@pytest.mark.parametrize("hour", [5.2, 18.0])
def test_pictures_of_another_size_are_announced_and_were_not_learned(baseline: Baseline, hour: float) -> None:
    assert baseline.learned is not None and len(baseline.learned.bursts) <= len(MOMENTS)
    verdict = judged(baseline, of_size(recorded(MORNING + 3 * DAY + hour * HOUR), 48, 32))
    assert verdict.status is Status.PASS
    assert verdict.resolution is not None and verdict.resolution.now == (48, 32)
    blurred = of_size(recorded(MORNING + 3 * DAY + hour * HOUR), *verdict.resolution.before)
    assert judged(baseline, blurred).cause is Cause.BLUR, "of golden's own size it is a fault"
