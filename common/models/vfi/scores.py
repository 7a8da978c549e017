"""How well two models do on the same held-out triplets, and which triplets are held out."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from common.features import FloatArray
from common.models.protocols import Model
from common.models.vfi.triplets import TripletArray

_GREY_LEVELS = 255.0
_ROUNDING_ERROR = 1.0 / 12.0  # variance of rounding to whole grey levels: no 8-bit frame is closer to the truth

_BLOCKS = 3  # held-out blocks: one alone could lie in a stretch unlike the rest
_HELD_OUT_SHARE = 1.0 / 3.0
_FEWEST_PER_BLOCK = 12  # triplets; shorter footage is cut into fewer blocks
_GUARD = 2  # triplets left out on each side of a held-out block: neighbours may share frames

Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Scores:
    """PSNR, dB, of champion and challenger on the same held-out triplets, in their order.

    Attributes
    ----------
    champion_drifted, challenger_drifted : (n,) float32, on the footage that drifted
    champion_golden, challenger_golden : (m,) float32, on golden replay
    """

    champion_drifted: FloatArray
    challenger_drifted: FloatArray
    champion_golden: FloatArray
    challenger_golden: FloatArray

    @property
    def gains_db(self) -> FloatArray:
        """(n,) what the challenger is better by, triplet for triplet, on drifted footage."""
        return self.challenger_drifted - self.champion_drifted

    @property
    def losses_db(self) -> FloatArray:
        """(m,) what the challenger is worse by, triplet for triplet, on golden footage."""
        return self.champion_golden - self.challenger_golden


@dataclass(frozen=True, eq=False)
class Split:
    """Which triplets to train on and which to hold out; those between the two are left out."""

    training: Indices
    held_out: Indices


def split_in_blocks(count: int) -> Split:
    """Split `count` consecutive triplets into contiguous blocks for training and for scoring.

    Neighbouring triplets look alike and may share frames. Held out at random,
    a triplet would be scored that was all but trained on.

    Examples
    --------
    >>> split = split_in_blocks(12)
    >>> split.training.tolist(), split.held_out.tolist()
    ([0, 1, 2, 3, 4, 5], [8, 9, 10, 11])
    """
    blocks = int(np.clip(count // _FEWEST_PER_BLOCK, 1, _BLOCKS))
    edges = np.linspace(0, count, blocks + 1).astype(int)
    held = np.zeros(count, bool)
    near = np.zeros(count, bool)
    for start, stop in pairwise(edges):
        first = stop - round((stop - start) * _HELD_OUT_SHARE)
        held[first:stop] = True
        near[max(0, first - _GUARD) : min(count, stop + _GUARD)] = True
    return Split(np.flatnonzero(~near), np.flatnonzero(held))


def psnr_db(frames: npt.NDArray[np.uint8], truth: npt.NDArray[np.uint8]) -> FloatArray:
    """Return the peak signal-to-noise ratio (n,) in dB of frames (n, h, w, 3) uint8 against the truth.

    10 log10(255^2 / mean squared error), the error never below that of rounding
    to 8 bits: 58.9 dB is as good as it gets.
    """
    error = frames.astype(np.float32) - truth.astype(np.float32)
    mean_squares = np.maximum(np.mean(error**2, axis=(1, 2, 3)), _ROUNDING_ERROR)
    return np.asarray(10.0 * np.log10(_GREY_LEVELS**2 / mean_squares), np.float32)


def score(model: Model, triplets: TripletArray) -> FloatArray:
    """Return the PSNR (n,) in dB of a model's middle frames on triplets (n, 3, h, w, 3)."""
    return psnr_db(model.predict(triplets), triplets[:, 1])
