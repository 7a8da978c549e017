"""The diagnosis: footage with a fault of signal or light FAILs and is named, and clean footage passes."""

from __future__ import annotations

import numpy as np
import pytest

from common.contracts.feature_groups import MOTION
from common.contracts.shifts import Shifts
from common.contracts.verdicts import Cause, Judgement, Status
from common.drift.baseline import Baseline
from common.drift.judge import judge
from common.features import Image
from common.modalities.video.diagnosis import diagnose
from simulation.faults import Fault, sabotage_frames
from tests.common.modalities.video.fixed_camera import WINDOW, camera, fitted, of_images

NAMED = (
    Fault.PACKET_LOSS, Fault.PIXELATION, Fault.FLICKER, Fault.BANDING, Fault.HUNTING_EXPOSURE, Fault.INFRA_RED,
    Fault.NOISE, Fault.COMPRESSION, Fault.BLACK, Fault.OVER_EXPOSURE, Fault.ROTATED, Fault.MIRRORED,
)  # fmt: skip


@pytest.fixture(scope="module")
def baseline() -> Baseline:
    return fitted(of_images(camera(120)))


def judged(baseline: Baseline, images: list[Image]) -> Judgement:
    return judge(baseline, of_images(images), diagnose=diagnose)


def test_clean_footage_passes(baseline: Baseline) -> None:
    assert judged(baseline, camera(WINDOW, first=200)).status is Status.PASS


@pytest.mark.parametrize("fault", NAMED)
def test_a_fault_is_found_and_named(baseline: Baseline, fault: Fault) -> None:
    verdict = judged(baseline, list(sabotage_frames(camera(WINDOW, first=200), fault, 3, seed=2)))
    assert (verdict.status, verdict.cause) == (Status.FAIL, fault.cause)


def test_more_light_that_stays_does_not_flicker_band_or_swing(baseline: Baseline) -> None:
    brighter = [np.clip(image * 1.4, 0, 255).astype(np.uint8) for image in camera(WINDOW, first=200)]
    assert judged(baseline, brighter).cause is Cause.OVER_EXPOSURE
    switched_on = camera(WINDOW // 2, first=200) + brighter[WINDOW // 2 :]
    assert judged(baseline, switched_on).cause is Cause.OVER_EXPOSURE


def shifts(**changes: float) -> Shifts:
    """Return shifts of the named columns, each of which has moved by so much."""
    zeros, now = np.zeros(len(changes)), np.array(list(changes.values()))
    return Shifts(tuple(changes), zeros, now, np.ones(len(changes)), now != 0, frozenset({"quality"}))


def test_fog_makes_movements_smaller_and_is_not_named_frozen() -> None:
    assert diagnose(shifts(**{MOTION: -2.5, "contrast": -1.6, "black_level": 0.4})) is Cause.LOW_CONTRAST
    assert diagnose(shifts(**{MOTION: -2.5, "contrast": 0.0})) is Cause.FROZEN
    assert diagnose(shifts(**{MOTION: -2.5, "contrast": -0.3})) is Cause.FROZEN
