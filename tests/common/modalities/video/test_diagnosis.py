"""The diagnosis: footage with a fault of signal or light FAILs and is named, and clean footage passes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from common.contracts.feature_groups import MOTION
from common.contracts.shifts import Shifts
from common.contracts.verdicts import Cause, Judgement, Status
from common.drift.baseline import Baseline
from common.drift.fitting import fit_baseline
from common.drift.judge import judge
from common.drift.windows import WindowRule
from common.features import FeatureBlock, Image
from common.modalities.video.diagnosis import diagnose
from common.modalities.video.frame_converter import StillPicture
from common.modalities.video.groups import EMBEDDING, QUALITY, VIEW, VITALS, feature_groups
from common.modalities.video.sensors import measure
from common.modalities.video.view import view_of
from common.modalities.video.vitals_columns import VITALS_COLUMNS
from simulation.faults import Fault, sabotage_frames
from tests.common.drift.footage import FEATURE_SPEC

WINDOW, SIDE = 24, 4
NAMED = (
    Fault.PACKET_LOSS, Fault.PIXELATION, Fault.FLICKER, Fault.BANDING, Fault.HUNTING_EXPOSURE, Fault.INFRA_RED,
    Fault.NOISE, Fault.COMPRESSION, Fault.BLACK, Fault.OVER_EXPOSURE, Fault.ROTATED, Fault.MIRRORED,
)  # fmt: skip


def camera(count: int, first: int = 0) -> list[Image]:
    """Return frames of a fixed camera: a scene with edges, a thing that moves through it, and a little noise."""
    rng = np.random.default_rng(5)
    coarse = rng.integers(40, 170, (8, 10, 3), dtype=np.uint8)
    scene = cv2.resize(coarse, (320, 240), interpolation=cv2.INTER_CUBIC)
    for _ in range(40):
        x, y = int(rng.integers(320)), int(rng.integers(240))
        cv2.rectangle(scene, (x, y), (x + 30, y + 20), [int(v) for v in rng.integers(20, 200, 3)], -1)
    frames = []
    for number in range(first, first + count):
        frame = scene.copy()
        cv2.rectangle(frame, (7 * number % 320, 100), (7 * number % 320 + 30, 150), (180, 60, 60), -1)
        noise = np.random.default_rng(number).normal(0, 1, frame.shape)
        frames.append(np.clip(np.rint(frame + noise), 0, 255).astype(np.uint8))
    return frames


def features(images: list[Image]) -> FeatureBlock:
    pictures = [StillPicture(image) for image in images]
    small = np.stack([picture.small(SIDE).ravel() for picture in pictures]).astype(np.float32)
    readings = np.stack([measure(picture.planes()) for picture in pictures])
    views = np.stack([view_of(picture.planes()) for picture in pictures])
    groups = {EMBEDDING: small, QUALITY: readings, VIEW: views, VITALS: np.zeros((0, len(VITALS_COLUMNS)), np.float32)}
    count, none = len(images), {VITALS: np.zeros(0, np.int32)}
    return FeatureBlock(groups, np.arange(count) / 10, ("a",), np.zeros(count, np.int32), seen=none)


@pytest.fixture(scope="module")
def baseline() -> Baseline:
    return fit_baseline(
        [("clip", features(camera(120)))],
        name="camera",
        feature_spec=FEATURE_SPEC,
        rule=WindowRule(frames=WINDOW, stride=6),
        groups=feature_groups(3 * SIDE * SIDE),
        created_at=0.0,
        libraries={},
    )


def judged(baseline: Baseline, images: list[Image]) -> Judgement:
    return judge(baseline, features(images), diagnose=diagnose)


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
