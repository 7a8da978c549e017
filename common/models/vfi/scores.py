"""PSNR of frames and of predictors, and the splits that hold triplets out of training."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from common.features import FloatArray
from common.models.protocols import Split
from common.models.vfi.design import Engine
from common.models.vfi.references import Blender
from common.models.vfi.triplets import TripletArray

_GREY_LEVELS = 255.0
_ROUNDING_ERROR = 1.0 / 12.0  # mean squared error of rounding to whole grey levels, which no 8-bit frame can avoid

_BATCH = 16  # triplets scored at a time, whose motion is kept in memory

_BLOCKS = 3  # a single held-out block might come from a part of the footage that is unlike the rest
_HELD_OUT_SHARE = 0.5  # about 100 of a clip's golden triplets: with fewer nobody can tell that nothing is lost
_MIN_PER_BLOCK = 12  # triplets; shorter footage is split into fewer blocks
_GUARD = 2  # triplets left out on each side of a held-out block, because neighbouring triplets may share frames

_PROOF_TRIPLETS = 120  # held out of a stretch that has as many: what a condition is proved on again
_LATER_SHARE = 0.6  # of a stretch's triplets, held out if that is more: what trains suffices, what proves seldom does
_GAP = 10  # triplets left out between the earlier and the later part of a stretch: what moves has moved on by then
_LEAST_TRAINED = 24  # triplets of a stretch; a shorter one is halved, and is no proof


def split_in_blocks(count: int) -> Split:
    """Split `count` consecutive triplets into contiguous blocks for training and for scoring.

    Neighbouring triplets are similar and may share frames. If triplets were held
    out at random, the scores would be measured on almost the training data.

    Examples
    --------
    >>> split = split_in_blocks(12)
    >>> split.training.tolist(), split.held_out.tolist()
    ([0, 1, 2, 3], [6, 7, 8, 9, 10, 11])
    """
    blocks = int(np.clip(count // _MIN_PER_BLOCK, 1, _BLOCKS))
    edges = np.linspace(0, count, blocks + 1).astype(int)
    held = np.zeros(count, bool)
    near = np.zeros(count, bool)
    for start, stop in pairwise(edges):
        first = stop - round((stop - start) * _HELD_OUT_SHARE)
        held[first:stop] = True
        near[max(0, first - _GUARD) : min(count, stop + _GUARD)] = True
    return Split(np.flatnonzero(~near), np.flatnonzero(held))


def split_in_time(count: int) -> Split:
    """Split `count` consecutive triplets of a stretch: the earlier ones train, the later ones are held out.

    At least 120 are held out, if enough remain to train on.

    Examples
    --------
    >>> split = split_in_time(300)
    >>> split.training[[0, -1]].tolist(), split.held_out[[0, -1]].tolist()
    ([0, 109], [120, 299])
    """
    held = max(_PROOF_TRIPLETS, round(count * _LATER_SHARE))
    gap = _GAP
    if count < held + gap + _LEAST_TRAINED:
        gap = min(_GAP, count // 6)
        held = (count - gap) // 2
    return Split(np.arange(count - held - gap), np.arange(count - held, count))


def psnr_db(frames: npt.NDArray[np.uint8], truth: npt.NDArray[np.uint8]) -> FloatArray:
    """Return the peak signal-to-noise ratio (n,) in dB of frames (n, h, w, 3) uint8 relative to the true ones.

    10 log10(255^2 / MSE). The mean squared error is at least 1 / 12, that of
    rounding to 8 bits, so the ratio is at most 58.9 dB.
    """
    error = frames.astype(np.float32) - truth.astype(np.float32)
    mean_squares = np.maximum(np.mean(error**2, axis=(1, 2, 3)), _ROUNDING_ERROR)
    return np.asarray(10.0 * np.log10(_GREY_LEVELS**2 / mean_squares), np.float32)


def score(blenders: Sequence[Blender], triplets: TripletArray, engine: Engine) -> FloatArray:
    """Return the PSNR (p, n) in dB of p predictors on each of n triplets (n, 3, h, w, 3); the motion is found once."""
    scores = np.empty((len(blenders), len(triplets)), np.float32)
    for start in range(0, len(triplets), _BATCH):
        rows = slice(start, start + _BATCH)
        warped = engine.warp(triplets[rows])
        for row, blender in zip(scores, blenders, strict=True):
            row[rows] = psnr_db(blender.blend(triplets[rows], warped), triplets[rows, 1])
    return scores
