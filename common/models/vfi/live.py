"""Scores on live triplets: how far a model is above plain DIS flow, on the part of the picture that changes most.

The footage hides nothing: the middle one of three consecutive frames is what the model should have drawn. Absolute PSNR
says little, because noise in the hidden frame caps it, and so does how much moves; what is scored is the gain over
others on the same triplet:

- over DIS flow, PSNR and SSIM: whether the model is worth having on this footage;
- over the starting weights, which never change: content moves both alike, so a model whose weights got worse is seen
  within a few triplets.

A quarter of the picture is scored, where most changes: elsewhere all predictors are right, and it costs less.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from common.contracts.batches import SourceKind
from common.contracts.model_scores import ScoreColumn
from common.features import FloatArray
from common.modalities.video.decode import sampled_frames
from common.modalities.video.timeline import read_timeline
from common.models.vfi.design import Design
from common.models.vfi.first import starting_model
from common.models.vfi.model import Interpolator
from common.models.vfi.references import Flow
from common.models.vfi.scores import psnr_db
from common.models.vfi.triplets import TRIPLET_SIZE, TripletArray, is_cut, shrink
from common.sources.limits import Limits

COLUMNS = (
    ScoreColumn(name="gain_db", text="dB over DIS flow", least_loss=0.3),
    ScoreColumn(name="gain_ssim", text="SSIM over DIS flow", least_loss=0.02),
    ScoreColumn(name="over_starting_db", text="dB over the starting weights", least_loss=0.15),
    ScoreColumn(name="psnr_db", text="dB PSNR", least_loss=None),
    ScoreColumn(name="ssim", text="SSIM", least_loss=None),
)
"""What is scored. The least losses are about what a person sees, and what the gate takes for a loss."""

_FRAMES = 3
_NEAR = 48  # frames to the next triplet that are decoded rather than skipped: as many as lie before one, on the average
_BATCH = 8  # triplets scored at a time
_CELL = 6  # pixels: the part that changes most is found to this, and sensor noise is averaged over it
_MOST_CHANGE = 16.0  # grey levels of a cell that count: that much moves, not how bright it is
_MOVES = 0.5  # pixels from the previous to the next frame
_LEAST_MOVING = 0.03  # of the part's pixels; less is sensor noise, or nothing
_ABSURD_DB = 12.0  # PSNR below which DIS shows another picture: damaged frames, not motion
_SSIM_WINDOW, _SSIM_SIGMA = (11, 11), 1.5  # Wang et al., 2004, Image quality assessment
_SSIM_C1, _SSIM_C2 = (0.01 * 255.0) ** 2, (0.03 * 255.0) ** 2


def read_live(path: Path, times: Sequence[float], limits: Limits) -> tuple[TripletArray, list[int]]:
    """Return triplets of consecutive frames, each beginning at the frame shown at one of some times.

    Parameters
    ----------
    path : a recording
    times : seconds since its first frame, ascending
    limits : what it may measure

    Returns
    -------
    (n, 3, h, w, 3) uint8, height and width as `TRIPLET_SIZE`; and which of `times` they are of. Of times too near to
    the end there are none.

    Raises
    ------
    BadSource
        If it cannot be read.
    """
    timeline = read_timeline(path, limits)
    seconds = (timeline.pts - timeline.pts[:1]) * float(timeline.time_base)
    starts = np.searchsorted(seconds, np.asarray(times) - 1e-6).tolist()
    wanted = [(start, place) for place, start in enumerate(starts) if start + _FRAMES <= len(seconds)]
    triplets: list[npt.NDArray[np.uint8]] = []
    places: list[int] = []
    while wanted:
        count = next(
            (i for i in range(1, len(wanted)) if wanted[i][0] - wanted[i - 1][0] > _NEAR + _FRAMES), len(wanted)
        )
        run, wanted = wanted[:count], wanted[count:]
        for place, triplet in _read_run(path, run, limits):
            triplets.append(triplet)
            places.append(place)
    none = np.zeros((0, _FRAMES, *TRIPLET_SIZE, 3), np.uint8)
    return np.stack(triplets) if triplets else none, places


def _read_run(path: Path, run: Sequence[tuple[int, int]], limits: Limits) -> list[tuple[int, npt.NDArray[np.uint8]]]:
    """Return (place, triplet) of triplets near each other, which one reading gives; incomplete ones are left out."""
    needed = {start + offset for start, _ in run for offset in range(_FRAMES)}
    first, last = run[0][0], run[-1][0] + _FRAMES
    frames = sampled_frames(path, SourceKind.RECORDING, sample_fps=None, start=first, stop=last, limits=limits)
    images = {frame.index: shrink(frame.image) for frame in frames if frame.index in needed}
    return [
        (place, np.stack([images[start + offset] for offset in range(_FRAMES)]))
        for start, place in run
        if all(start + offset in images for offset in range(_FRAMES))
    ]


def score_live(models: Sequence[Interpolator], triplets: TripletArray, design: Design) -> FloatArray:
    """Return the scores (m, n, columns) of m models on triplets (n, 3, h, w, 3); NaN in rows that are set aside.

    Set aside are triplets in which nothing moves, those across a cut, and those whose frames are nothing alike.
    Motion is computed once for all models, which are of kind `design`, and none of them sees what is set aside.
    """
    scores = np.full((len(models), len(triplets), len(COLUMNS)), np.nan, np.float32)
    whole = np.array([i for i, triplet in enumerate(triplets) if not is_cut(triplet[0], triplet[2])], np.intp)
    for start in range(0, len(whole), _BATCH):
        numbers = whole[start : start + _BATCH]
        parts = np.stack([_part_that_changes(triplets[number]) for number in numbers])
        warped = design.engine.warp(parts)
        plain = Flow().blend(parts, warped)
        speed = np.linalg.norm(warped.motion.astype(np.float32), axis=-1)
        moving = (speed > _MOVES).mean(axis=(1, 2)) >= _LEAST_MOVING
        told = np.flatnonzero(moving & (psnr_db(plain, parts[:, 1]) >= _ABSURD_DB))
        if not len(told):
            continue
        parts, warped, truth = parts[told], warped[told], parts[told, 1]
        plain_db, plain_ssim = psnr_db(plain[told], truth), _ssim_of_each(plain[told], truth)
        starting = starting_model_once(design)
        first = starting.blend(parts, warped)
        first_db = psnr_db(first, truth)
        for row, model in zip(scores, models, strict=True):
            own = first if model is starting else model.blend(parts, warped)
            own_db, own_ssim = psnr_db(own, truth), _ssim_of_each(own, truth)
            row[numbers[told]] = np.column_stack(
                [own_db - plain_db, own_ssim - plain_ssim, own_db - first_db, own_db, own_ssim]
            )
    return scores


@cache
def starting_model_once(design: Design) -> Interpolator:
    """Return the starting weights of a kind, loaded once."""
    return starting_model(design)


def _part_that_changes(triplet: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the quarter (3, h / 2, w / 2, 3) of a triplet (3, h, w, 3) in which most changes."""
    height, width = triplet.shape[1:3]
    small = [
        cv2.resize(
            cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), (width // _CELL, height // _CELL), interpolation=cv2.INTER_AREA
        )
        for frame in (triplet[0], triplet[2])
    ]
    change = np.minimum(np.abs(small[0].astype(np.float32) - small[1]), _MOST_CHANGE)
    tall, wide = change.shape[0] // 2, change.shape[1] // 2
    total = np.pad(change.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    sums = total[tall:, wide:] - total[:-tall, wide:] - total[tall:, :-wide] + total[:-tall, :-wide]
    y, x = (int(place) * _CELL for place in np.unravel_index(int(sums.argmax()), sums.shape))
    return triplet[:, y : y + tall * _CELL, x : x + wide * _CELL]


def _ssim_of_each(images: npt.NDArray[np.uint8], truth: npt.NDArray[np.uint8]) -> FloatArray:
    """Return the structural similarity (n,) of images (n, h, w, 3) to the true ones."""
    return np.array([ssim(image, true) for image, true in zip(images, truth, strict=True)], np.float32)


def ssim(image: npt.NDArray[np.uint8], truth: npt.NDArray[np.uint8]) -> float:
    """Return the structural similarity of an image (h, w, 3) uint8 to the true one, in grey; 1 if they are equal.

    Wang, Bovik, Sheikh and Simoncelli: Image quality assessment, IEEE Transactions on Image Processing, 2004.
    """
    a, b = (cv2.cvtColor(part, cv2.COLOR_RGB2GRAY).astype(np.float32) for part in (image, truth))

    def mean(values: FloatArray) -> FloatArray:
        return np.asarray(cv2.GaussianBlur(values, _SSIM_WINDOW, _SSIM_SIGMA), np.float32)

    mean_a, mean_b = mean(a), mean(b)
    both = mean(a * b) - mean_a * mean_b
    own = mean(a * a) - mean_a**2 + mean(b * b) - mean_b**2
    alike = (2 * mean_a * mean_b + _SSIM_C1) * (2 * both + _SSIM_C2)
    return float((alike / ((mean_a**2 + mean_b**2 + _SSIM_C1) * (own + _SSIM_C2))).mean())
