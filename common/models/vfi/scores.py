"""Scores of two models on the same held-out triplets, and the split that holds triplets out."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from common.features import FloatArray
from common.models.protocols import Model
from common.models.vfi.triplets import TripletArray

_GREY_LEVELS = 255.0
_ROUNDING_ERROR = 1.0 / 12.0  # mean squared error of rounding to whole grey levels, which no 8-bit frame can avoid

_BLOCKS = 3  # a single held-out block might come from a part of the footage that is unlike the rest
_HELD_OUT_SHARE = 1.0 / 3.0
_MIN_PER_BLOCK = 12  # triplets; shorter footage is split into fewer blocks
_GUARD = 2  # triplets left out on each side of a held-out block, because neighbouring triplets may share frames

Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Scores:
    """PSNR, in dB, of champion and challenger on the same held-out triplets in the same order.

    Attributes
    ----------
    champion_drifted, challenger_drifted : (n,) float32, on drifted footage
    champion_golden, challenger_golden : (m,) float32, on golden replay
    """

    champion_drifted: FloatArray
    challenger_drifted: FloatArray
    champion_golden: FloatArray
    challenger_golden: FloatArray

    @property
    def gains_db(self) -> FloatArray:
        """(n,) challenger's PSNR minus champion's for each triplet of drifted footage, in dB."""
        return self.challenger_drifted - self.champion_drifted

    @property
    def losses_db(self) -> FloatArray:
        """(m,) champion's PSNR minus challenger's for each triplet of golden footage, in dB."""
        return self.champion_golden - self.challenger_golden


@dataclass(frozen=True, eq=False)
class Split:
    """Indices of the triplets to train on and of those held out; the guard triplets between them are in neither."""

    training: Indices
    held_out: Indices


def split_in_blocks(count: int) -> Split:
    """Split `count` consecutive triplets into contiguous blocks for training and for scoring.

    Neighbouring triplets are similar and may share frames. If triplets were held
    out at random, the scores would be measured on almost the training data.

    Examples
    --------
    >>> split = split_in_blocks(12)
    >>> split.training.tolist(), split.held_out.tolist()
    ([0, 1, 2, 3, 4, 5], [8, 9, 10, 11])
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


def psnr_db(frames: npt.NDArray[np.uint8], truth: npt.NDArray[np.uint8]) -> FloatArray:
    """Return the peak signal-to-noise ratio (n,) in dB of frames (n, h, w, 3) uint8 relative to the true ones.

    10 log10(255^2 / MSE). The mean squared error is at least 1 / 12, that of
    rounding to 8 bits, so the ratio is at most 58.9 dB.
    """
    error = frames.astype(np.float32) - truth.astype(np.float32)
    mean_squares = np.maximum(np.mean(error**2, axis=(1, 2, 3)), _ROUNDING_ERROR)
    return np.asarray(10.0 * np.log10(_GREY_LEVELS**2 / mean_squares), np.float32)


def score(model: Model, triplets: TripletArray) -> FloatArray:
    """Return the PSNR (n,) in dB of a model's middle frames on triplets (n, 3, h, w, 3)."""
    return psnr_db(model.predict(triplets), triplets[:, 1])
