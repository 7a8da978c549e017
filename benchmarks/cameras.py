"""Cameras per core, and detection delay, as functions of the sampling rate.

Cameras are files of 1080p30 H.264. Rates are measured in one process on one
thread, from decoding to verdict; the default rate is also measured through Celery
on all cores. The delay runs from the start of a fault of severity 3, after some
minutes of clean footage, to the end of the first window that FAILs. It is
measured on footage of the virtual camera.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.clips import as_camera, repeated
from benchmarks.results import draw_lines, save
from benchmarks.stack import running_stack
from benchmarks.workbench import cpu_backbone, embed_every, fit, say
from common.baselines.storage import load_baseline
from common.contracts.batches import SourceKind
from common.contracts.verdicts import Status
from common.drift.judge import judge
from common.drift.windows import WindowRule
from common.extraction import Extractor
from common.features import FeatureBlock
from common.modalities.video.decode import sampled_frames
from common.modalities.video.frame import Frame
from common.modalities.video.modality import VIDEO
from common.sources.limits import Limits
from simulation.faults import Fault, sabotage_frames
from simulation.virtual_camera import record

_HEIGHT, _FPS = 1080, 30
_CLIP_SECONDS, _REPEATS, _GOLDEN_REPEATS = 20, 3, 24  # a camera's file is a minute, golden footage eight
_RATES = (10.0, 5.0, 2.5, 1.0, 0.5, 0.12)  # the last samples key frames alone, even of a camera that sends one per 8 s
_KEY_PER_SECOND = "one key frame per second"
_GOPS = {_KEY_PER_SECOND: 30, "one key frame per 8 s": 250}
_STACK_CAMERAS = 60
_STREAMS = 20
_RULE = WindowRule(frames=48, stride=12)
_FAULTS = (Fault.NOISE, Fault.BLUR, Fault.LOW_LIGHT, Fault.COMPRESSION)
_DELAY_FPS = 10.0
_DELAY_GOLDEN_SECONDS, _DELAY_GOLDEN_WINDOWS, _DELAY_LEAST_SECONDS = 800, 6, 120
_SEVERITY = 3


@dataclass
class Point:
    """Figures of one sampling rate.

    Attributes
    ----------
    fps : sampled frames per second
    cameras : cameras per core, by interval of the key frames
    delay_seconds : median over the faults; infinite: not detected
    clean_windows, clean_fails : windows before the fault, and how many of them FAIL
    """

    fps: float
    cameras: dict[str, float]
    delay_seconds: float
    clean_windows: int
    clean_fails: int


def measure_cameras(source: Path, folder: Path, weights: str) -> None:
    """Measure, print the table, and store figures and picture."""
    extractor = Extractor(VIDEO, cpu_backbone(weights), Limits(), embed_every=embed_every())
    minutes = {}
    for name, gop in _GOPS.items():
        short = as_camera(source, folder / f"gop{gop}.mp4", _HEIGHT, frames=_CLIP_SECONDS * _FPS, fps=_FPS, gop=gop)
        minutes[name] = repeated(short, folder / f"minute{gop}.mp4", _REPEATS)
    golden = repeated(folder / f"gop{_GOPS[_KEY_PER_SECOND]}.mp4", folder / "golden.mp4", _GOLDEN_REPEATS)
    say("footage of cameras")
    delays = detection_delays(extractor, folder)
    say("detection delays")
    verdict = verdict_seconds(extractor, golden)
    points = []
    for fps in _RATES:
        cameras = {name: cameras_per_core(extractor, path, fps, verdict) for name, path in minutes.items()}
        points.append(Point(fps, cameras, *delays[fps]))
    say("one process")
    default, through = through_celery(folder, golden, minutes[_KEY_PER_SECOND], weights)
    report(points, default, through)


def cameras_per_core(extractor: Extractor, path: Path, fps: float, verdict: float) -> float:
    """Return the seconds of footage that one core judges per second, the median of three runs.

    Parameters
    ----------
    verdict : seconds that one verdict takes
    """
    times = []
    for _ in range(3):
        began = time.perf_counter()
        frames = len(extractor.extract(path, SourceKind.RECORDING, uri=str(path), sample_fps=fps))
        times.append(time.perf_counter() - began + verdict * frames / _RULE.stride)
    return _CLIP_SECONDS * _REPEATS / statistics.median(times)


def verdict_seconds(extractor: Extractor, golden: Path) -> float:
    """Return the seconds that one verdict takes."""
    features = extractor.extract(golden, SourceKind.RECORDING, uri=str(golden), sample_fps=1.0)
    baseline = fit("golden", [("golden", features)], _RULE)
    began = time.perf_counter()
    for _ in range(10):
        judge(baseline, features[: _RULE.frames])
    return (time.perf_counter() - began) / 10


def detection_delays(extractor: Extractor, folder: Path) -> dict[float, tuple[float, int, int]]:
    """Return by sampling rate: median delay over the faults (s; infinite: not detected), clean windows, their FAILs."""
    golden, today = folder / "calm.mp4", folder / "today.mp4"
    small = {"fps": _DELAY_FPS, "width": 320, "height": 180}
    record(golden, seconds=max(map(_golden_seconds, _RATES)), seed=1, **small)  # type: ignore[arg-type]
    record(today, seconds=2 * max(map(_part_seconds, _RATES)), seed=2, **small)  # type: ignore[arg-type]
    return {fps: _delay(extractor, golden, today, fps) for fps in _RATES}


def _golden_seconds(fps: float) -> float:
    return max(_DELAY_GOLDEN_SECONDS, _DELAY_GOLDEN_WINDOWS * _RULE.frames / fps)


def _part_seconds(fps: float) -> float:
    """Return the length, in seconds, of the clean part of today's footage, and of the faulty part after it."""
    return max(_DELAY_LEAST_SECONDS, (_RULE.frames + _RULE.stride) / fps)


def _delay(extractor: Extractor, golden: Path, today: Path, fps: float) -> tuple[float, int, int]:
    def read(path: Path, length: float) -> list[Frame]:
        stop = round(length * fps)
        return list(
            sampled_frames(path, SourceKind.RECORDING, sample_fps=fps, start=0, stop=stop, limits=extractor.limits)
        )

    def features(frames: Iterable[Frame]) -> FeatureBlock:
        return FeatureBlock.concatenate(list(extractor.features(iter(frames), "today", 64)))

    baseline = fit("golden", [("golden", features(read(golden, _golden_seconds(fps))))], _RULE)
    frames, onset = read(today, 2 * _part_seconds(fps)), round(_part_seconds(fps) * fps)
    before = features(frames[:onset])
    stops = range(_RULE.frames, len(before) + 1, _RULE.stride)
    fails = sum(judge(baseline, before[stop - _RULE.frames : stop]).status is Status.FAIL for stop in stops)
    delays = []
    for fault in _FAULTS:
        images = sabotage_frames((frame.image for frame in frames[onset:]), fault, _SEVERITY, 7)
        faulty = (Frame.of(image, frame.index, frame.time) for image, frame in zip(images, frames[onset:], strict=True))
        both = FeatureBlock.concatenate([before, features(faulty)])
        found = [
            stop
            for stop in range(onset + _RULE.stride, len(both) + 1, _RULE.stride)
            if stop >= _RULE.frames and judge(baseline, both[stop - _RULE.frames : stop]).status is Status.FAIL
        ]
        delays.append((found[0] - onset) / fps if found else float("inf"))
    return float(np.median(delays)), len(stops), fails


def through_celery(folder: Path, golden: Path, minute: Path, weights: str) -> tuple[float, float]:
    """Return the default sampling rate of `baseline build` in frames/s, and cameras per core through a whole stack."""
    cores = os.cpu_count() or 1
    own = folder / "stack"
    own.mkdir()
    settings = {
        "SENTINEL_WEIGHTS": weights,
        "SENTINEL_SETTLE_SECONDS": "0.3",
        "SENTINEL_EMBED_PROCESSES": str(cores),
    }
    with running_stack(own, golden, **settings) as bench:
        feature_spec = load_baseline(own / "baselines" / "golden").baseline.feature_spec
        for number in range(cores):
            bench.drop(minute, f"warm{number}", 0)
        bench.wait_for(cores)
        for number in range(1, _STACK_CAMERAS + 1):
            bench.drop(minute, f"cam{number % _STREAMS}", number)
        began = time.perf_counter()
        bench.wait_for(_STACK_CAMERAS + cores)
        seconds = time.perf_counter() - began - 0.3
    return feature_spec.sample_fps or float(_FPS), _STACK_CAMERAS * _CLIP_SECONDS * _REPEATS / seconds / cores


def report(points: list[Point], default: float, through: float) -> None:
    print(f"\n1080p30 cameras per core; at the default of {default:g} frames/s through Celery: {through:.1f}\n")
    print("| sampled frames per second | " + " | ".join(_GOPS) + " | detected after, s | clean windows that FAIL |")
    print("|---|" + "---|" * (len(_GOPS) + 2))
    for point in points:
        cells = " | ".join(f"{point.cameras[name]:.1f}" for name in _GOPS)
        clean = f"{point.clean_fails}/{point.clean_windows}"
        print(f"| {point.fps:g} | {cells} | {point.delay_seconds:.0f} | {clean} |")
    save("cameras", {"default_fps": default, "through_celery": through, "points": [asdict(point) for point in points]})
    lines = {
        name: [(point.delay_seconds, point.cameras[name]) for point in points if np.isfinite(point.delay_seconds)]
        for name in _GOPS
    }
    title, delay = "1080p30 cameras per core", "a fault of severity 3 is detected after, s"
    draw_lines("cameras", title, delay, "cameras", lines, logarithmic="xy")
