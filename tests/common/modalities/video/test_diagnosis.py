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
    Fault.BLUR, Fault.LOW_CONTRAST, Fault.FOG,
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


@pytest.mark.parametrize("seed", [1, 3])
def test_a_smear_along_edges_is_told_from_blur(baseline: Baseline, seed: int) -> None:
    # All edges of this scene lie along rows and columns, and so does the smear of these seeds.
    for severity in (3, 5):
        smeared = list(sabotage_frames(camera(WINDOW, first=200), Fault.MOTION_BLUR, severity, seed))
        assert judged(baseline, smeared).cause is Cause.MOTION_BLUR


@pytest.mark.parametrize("seed", range(4))
def test_a_soiled_lens_is_found_and_named(baseline: Baseline, seed: int) -> None:
    verdict = judged(baseline, list(sabotage_frames(camera(WINDOW, first=200), Fault.SOILED, 5, seed)))
    assert (verdict.status, verdict.cause) == (Status.FAIL, Cause.SOILED)


def test_more_light_that_stays_does_not_flicker_band_or_swing(baseline: Baseline) -> None:
    brighter = [np.clip(image * 1.4, 0, 255).astype(np.uint8) for image in camera(WINDOW, first=200)]
    assert judged(baseline, brighter).cause is Cause.OVER_EXPOSURE
    switched_on = camera(WINDOW // 2, first=200) + brighter[WINDOW // 2 :]
    assert judged(baseline, switched_on).cause is Cause.OVER_EXPOSURE


def shifts(**changes: float) -> Shifts:
    """Return shifts of the named columns, each of which has moved by so much."""
    zeros, now = np.zeros(len(changes)), np.array(list(changes.values()))
    return Shifts(tuple(changes), zeros, now, np.ones(len(changes)), now != 0, frozenset({"quality"}))


def test_blur_in_one_direction_is_a_smear_and_noise_is_none() -> None:
    blurred = {"edge_peak": -0.2, "edge_typical": -0.5}
    assert diagnose(shifts(**blurred)) is Cause.BLUR
    assert diagnose(shifts(**blurred, direction_across=0.08)) is Cause.BLUR
    assert diagnose(shifts(**blurred, direction_across=0.2, direction_diagonal=-0.2)) is Cause.MOTION_BLUR
    gross = {"edge_peak": -1.6, "edge_typical": -2.0}
    assert diagnose(shifts(**gross, direction_across=0.2)) is Cause.BLUR
    assert diagnose(shifts(**gross, direction_diagonal=-0.9)) is Cause.MOTION_BLUR
    assert diagnose(shifts(noise=0.8, direction_across=0.3)) is Cause.NOISE


def test_what_is_hidden_in_places_is_on_the_lens_unless_the_whole_picture_says_why() -> None:
    assert diagnose(shifts(obscured=0.08)) is Cause.SOILED
    assert diagnose(shifts(obscured=0.08, shift=0.05)) is Cause.CAMERA_MOVED
    assert diagnose(shifts(obscured=0.5, dark_area=0.5, luma=-0.1)) is Cause.COVERED
    assert diagnose(shifts(obscured=0.3, clipped_bright=0.4, luma=0.7)) is Cause.OVER_EXPOSURE
    far = {"contrast": -0.6, "contrast_depth": -0.8}
    assert diagnose(shifts(obscured=0.3, luma=0.4, **far)) is Cause.FOG
    assert diagnose(shifts(obscured=0.3, **far)) is Cause.SOILED


def test_fog_makes_movements_smaller_and_is_not_named_frozen() -> None:
    assert diagnose(shifts(**{MOTION: -2.5, "contrast": -1.6, "black_level": 0.4})) is Cause.LOW_CONTRAST
    assert diagnose(shifts(**{MOTION: -2.5, "contrast": 0.0})) is Cause.FROZEN
    assert diagnose(shifts(**{MOTION: -2.5, "contrast": -0.3})) is Cause.FROZEN
