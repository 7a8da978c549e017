"""Vitals and resolution as the judge sees them, on small recordings of a fixed camera."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from common.contracts.verdicts import Cause, Judgement, Status
from common.drift.baseline import Baseline
from common.drift.conditions import fit_condition
from common.drift.judge import judge
from common.features import FeatureBlock, Image
from common.modalities.video.diagnosis import diagnose
from common.modalities.video.groups import VITALS
from simulation.faults import Fault, sabotage_frames
from simulation.saboteur import StreamFault, sabotage
from tests.common.modalities.video.fixed_camera import WINDOW, camera, fitted, of_clip, of_images
from tests.footage import write_clip

TODAY = camera(2 * WINDOW, first=200)


def record(path: Path, images: Sequence[Image], crf: int = 18, fps: float = 25.0, gop: int = 25) -> FeatureBlock:
    return of_clip(write_clip(path, images, fps=fps, gop=gop, options={"crf": str(crf), "preset": "ultrafast"}))


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Baseline:
    return fitted(record(tmp_path_factory.mktemp("golden") / "golden.mp4", camera(120)))


def judged(baseline: Baseline, block: FeatureBlock) -> Judgement:
    return judge(baseline, block[:WINDOW], diagnose=diagnose)


def score(verdict: Judgement) -> float:
    return next(group.drift_score for group in verdict.feature_groups if group.group == VITALS)


def scaled(images: Sequence[Image], width: int, height: int) -> list[Image]:
    return [np.asarray(cv2.resize(i, (width, height), interpolation=cv2.INTER_AREA), np.uint8) for i in images]


def test_half_and_twice_the_rate_pass_and_a_third_of_it_fails(tmp_path: Path, baseline: Baseline) -> None:
    doubled = [image for image in TODAY for _ in range(2)]
    assert judged(baseline, record(tmp_path / "twice.mp4", doubled, fps=50.0)).status is Status.PASS
    assert judged(baseline, record(tmp_path / "slow.mp4", TODAY, fps=12.5)).status is Status.PASS
    verdict = judged(baseline, record(tmp_path / "slower.mp4", TODAY, fps=25.0 / 3))
    assert (verdict.status, verdict.cause) == (Status.FAIL, Cause.MISSING_FRAMES)


@pytest.mark.parametrize("fault", StreamFault)
def test_a_fault_of_the_recording_is_found_and_named(tmp_path: Path, baseline: Baseline, fault: StreamFault) -> None:
    source = write_clip(tmp_path / "today.mp4", TODAY, options={"crf": "18"})
    sabotage(source, tmp_path / "faulty.mp4", fault, 4, seed=1)
    block = of_clip(tmp_path / "faulty.mp4")
    if len(block) < WINDOW:
        block = FeatureBlock.concatenate([block, block])
    verdict = judged(baseline, block)
    assert (verdict.status, verdict.cause) == (Status.FAIL, fault.cause)


def test_encoding_again_is_no_fault_of_the_recording(tmp_path: Path, baseline: Baseline) -> None:
    for crf in (23, 28):
        assert score(judged(baseline, record(tmp_path / f"{crf}.mp4", TODAY, crf=crf, gop=250))) == 0


def test_stills_are_judged_without_vitals_and_so_is_footage_by_a_baseline_of_stills(
    tmp_path: Path, baseline: Baseline
) -> None:
    verdict = judged(baseline, of_images(TODAY))
    assert score(verdict) == 0 and VITALS in [group.group for group in verdict.feature_groups]
    of_stills = fitted(of_images(camera(80)))
    assert score(judged(of_stills, record(tmp_path / "a.mp4", TODAY, fps=3.0))) == 0
    assert judged(of_stills, of_images(TODAY)).status is Status.PASS
    recorded, stills = record(tmp_path / "b.mp4", TODAY, fps=3.0), of_images(TODAY)
    mostly = FeatureBlock.concatenate([stills[: WINDOW - 4], recorded[1:5]])
    assert score(judged(baseline, mostly)) == 0, "four frames of a window say too little"
    rather = FeatureBlock.concatenate([stills[: WINDOW - 12], recorded[1:13]])
    assert score(judged(baseline, rather)) > 0.3


def test_what_a_recording_loses_is_never_part_of_a_condition(tmp_path: Path, baseline: Baseline) -> None:
    noisy = list(sabotage_frames(camera(60), Fault.NOISE, 3))
    block = record(tmp_path / "noisy.mp4", noisy, fps=5.0)
    segment = fit_condition("noisy", block, baseline, baseline.segments[0].summary.name)
    assert segment.groups[VITALS] is baseline.segments[0].groups[VITALS]


def test_another_resolution_is_announced_and_no_fault(tmp_path: Path, baseline: Baseline) -> None:
    for size in ((160, 120), (212, 160), (640, 480)):
        verdict = judged(baseline, record(tmp_path / f"{size[0]}.mp4", scaled(TODAY, *size)))
        assert verdict.resolution is not None and verdict.resolution.now == size
        assert verdict.resolution.text == f"320x240 to {size[0]}x{size[1]}"
        assert verdict.status is Status.PASS
    assert judged(baseline, record(tmp_path / "same.mp4", TODAY)).resolution is None


@pytest.mark.parametrize("fault", [Fault.BLACK, Fault.FROZEN, Fault.COVERED, Fault.LOW_LIGHT, Fault.CAMERA_MOVED])
def test_a_fault_is_found_at_another_resolution(tmp_path: Path, baseline: Baseline, fault: Fault) -> None:
    faulty = list(sabotage_frames(TODAY, fault, 3, seed=2))
    verdict = judged(baseline, record(tmp_path / "half.mp4", scaled(faulty, 160, 120)))
    assert verdict.status is Status.FAIL and verdict.resolution is not None


def test_another_aspect_ratio_is_announced_and_no_move_of_the_camera(tmp_path: Path, baseline: Baseline) -> None:
    verdict = judged(baseline, record(tmp_path / "wide.mp4", scaled(TODAY, 320, 180)))
    assert verdict.resolution is not None and verdict.status is Status.PASS


def test_golden_footage_of_the_same_size_is_the_one_that_counts(tmp_path: Path) -> None:
    """A clip of another size, by which less can be judged, must not make blurred footage pass."""
    small = record(tmp_path / "small.mp4", scaled(camera(80), 160, 120))
    both = fitted(record(tmp_path / "golden.mp4", camera(80)), small)
    blurred = list(sabotage_frames(TODAY, Fault.BLUR, 3))
    verdict = judged(both, record(tmp_path / "blurred.mp4", blurred))
    assert (verdict.status, verdict.cause, verdict.resolution) == (Status.FAIL, Cause.BLUR, None)
    assert judged(both, record(tmp_path / "half.mp4", scaled(TODAY, 160, 120))).resolution is None


def test_a_camera_that_is_turned_within_a_window_is_judged(baseline: Baseline) -> None:
    """Half of its pictures are upright, half lie on their side: what most of them show has the size of either."""
    turned = [np.ascontiguousarray(np.rot90(image)) for image in TODAY[: WINDOW // 2]]
    for pictures in (
        TODAY[: WINDOW // 2] + turned,
        [picture for pair in zip(TODAY, turned, strict=False) for picture in pair],
    ):
        verdict = judged(baseline, of_images(pictures))
        assert verdict.resolution is not None and verdict.resolution.text.startswith("320x240 to ")


def test_pictures_minutes_apart_are_no_camera_that_stopped_flickering() -> None:
    """Golden is a recording under a lamp that flickers; of pictures taken far apart that cannot be known."""
    lamp = np.random.default_rng(3).normal(1, 0.1, 400)
    images = {
        first: [
            np.clip(lamp[n] * image, 0, 255).astype(np.uint8) for n, image in enumerate(camera(count, first), first)
        ]
        for first, count in ((0, 80), (200, WINDOW))
    }
    golden, today = of_images(images[0]), of_images(images[200])
    apart = replace(today, taken_at=1_700_000_000.0 + 300 * np.arange(WINDOW))
    verdicts = [judge(fitted(golden), block, diagnose=diagnose) for block in (today, apart)]
    assert [verdict.status for verdict in verdicts] == [Status.PASS, Status.PASS]
