"""Times of the single stages from file to verdict, and of the loop that one would write by hand."""

from __future__ import annotations

import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing.synchronize import Barrier
from pathlib import Path

import cv2
import numpy as np
from scipy import stats

from benchmarks.workbench import cpu_backbone, embed_every, fit
from common.contracts.batches import SourceKind
from common.drift.judge import judge
from common.drift.windows import WindowRule
from common.extraction import Extractor
from common.modalities.video.decode import sampled_frames
from common.modalities.video.modality import VIDEO
from common.modalities.video.sensors import measure
from common.sources.limits import Limits

STAGES = ("decode", "small", "sensors", "engine", "judge")
_BATCH = 32
_GOLDEN, _WINDOW, _STRIDE = 150, 48, 12
_MIN_SECONDS = 0.5  # of a stage in one run


def hand_written() -> Callable[[Path], int]:
    """Return the loop that one would write by hand: decode, resize, predict, compare. It returns its frame count."""
    import keras

    rng = np.random.default_rng(0)
    golden = rng.normal(size=(_GOLDEN, 1280))
    model = keras.applications.MobileNetV2(include_top=False, pooling="avg", weights=None, input_shape=(224, 224, 3))

    def run(path: Path) -> int:
        capture, batch, count = cv2.VideoCapture(str(path)), [], 0
        embeddings: list[np.ndarray] = []
        while True:
            there, frame = capture.read()
            if there:
                count += 1
                batch.append(cv2.resize(frame, (224, 224), interpolation=cv2.INTER_AREA)[..., ::-1])
            if batch and (len(batch) == _BATCH or not there):
                embeddings += list(model.predict(np.stack(batch).astype(np.float32) / 127.5 - 1, verbose=0))
                batch.clear()
            if not there:
                break
        capture.release()
        for stop in range(_WINDOW, len(embeddings) + 1, _STRIDE):
            window = np.array(embeddings[stop - _WINDOW : stop])
            for column in range(window.shape[1]):
                stats.wasserstein_distance(golden[:, column], window[:, column])
                stats.ks_2samp(golden[:, column], window[:, column], method="asymp")
        return count

    return run


@cache
def stages_of(clip: Path, weights: str) -> dict[str, Callable[[], int]]:
    """Return the stages on `clip`, each with its input prepared; a stage returns the number of frames it processed.

    A picture that is scaled and embedded stands for all the frames of which the backbone sees one.
    """
    backbone, every = cpu_backbone(weights), embed_every()
    extractor = Extractor(VIDEO, backbone, Limits(), embed_every=every)

    def frames() -> int:
        chosen = sampled_frames(
            clip, SourceKind.RECORDING, sample_fps=None, start=0, stop=None, limits=extractor.limits
        )
        return sum(1 for _ in chosen)

    def pipeline() -> int:
        return len(extractor.extract(clip, SourceKind.RECORDING, uri=str(clip), sample_fps=None))

    kept = sampled_frames(clip, SourceKind.RECORDING, sample_fps=None, start=0, stop=_BATCH, limits=extractor.limits)
    pictures = [frame.picture for frame in kept]
    side = backbone.input_size
    small = np.stack([picture.small(side) for picture in pictures])
    features = extractor.extract(clip, SourceKind.RECORDING, uri=str(clip), sample_fps=None)
    rule = WindowRule(frames=min(_WINDOW, len(features) // 4), stride=_STRIDE)
    baseline = fit("clip", [("clip", features)], rule)

    def verdict() -> int:
        judge(baseline, features[: rule.frames])
        return rule.stride  # frames per verdict

    return {
        "pipeline": pipeline,
        "decode": frames,
        "small": lambda: every * len([picture.small(side) for picture in pictures]),
        "sensors": lambda: len([measure(picture.planes()) for picture in pictures]),
        "engine": lambda: every * len(backbone.embed(small)),
        "judge": verdict,
    }


_barrier: Barrier


def _set_barrier(barrier: Barrier) -> None:
    global _barrier  # noqa: PLW0603, a barrier can be passed to a process only when it starts
    _barrier = barrier


def _rate(name: str, clip: Path, weights: str) -> float:
    """Return the frames/s of a stage in this process, started together with the other processes."""
    stage = stages_of(clip, weights)[name]
    _barrier.wait()
    began, count = time.perf_counter(), 0
    while not count or time.perf_counter() - began < _MIN_SECONDS:
        count += stage()
    return count / (time.perf_counter() - began)


def stage_times(clip: Path, by_hand: Callable[[Path], int], weights: str, runs: int) -> dict[str, list[float]]:
    """Return the seconds per frame of each stage on one clip, on all cores at once; `runs` of each, taken in turn."""
    cores = os.cpu_count() or 1
    context = multiprocessing.get_context("spawn")
    times: dict[str, list[float]] = {name: [] for name in ("by_hand", "pipeline", *STAGES)}
    with ProcessPoolExecutor(cores, context, _set_barrier, (context.Barrier(cores),)) as pool:
        for run in range(runs + 1):
            for name, found in times.items():
                if name == "by_hand":
                    began = time.perf_counter()
                    count = by_hand(clip)
                    seconds = (time.perf_counter() - began) / count
                else:
                    seconds = 1 / sum(pool.map(_rate, [name] * cores, [clip] * cores, [weights] * cores))
                if run:  # the first run warms up
                    found.append(seconds)
    return times


def median_rates(times: dict[str, list[float]]) -> dict[str, float]:
    """Return frames/s by stage, from seconds per frame."""
    return {name: 1.0 / statistics.median(found) for name, found in times.items()}
