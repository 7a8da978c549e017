"""Steps at the borders of 8 x 8 blocks beyond the steps beside them: what a starved encoder leaves."""

from __future__ import annotations

import numpy as np

from common.contracts import FloatArray
from common.frames.quality.planes import BAND, Planes
from common.frames.quality.sensor import sensor

_BLOCK = 8
_CAP = 12.0  # grey levels: a step above it is an edge of the scene
_OFFSET = 0.2  # grey levels, so that a picture without any steps has no blocks either


def _read(planes: Planes) -> FloatArray:
    bands = planes.fine
    across = np.minimum(np.abs(np.diff(bands, axis=1)), _CAP)
    down = np.minimum(np.abs(np.diff(bands.reshape(planes.count, BAND, -1), axis=1)), _CAP)
    profiles = across.mean(axis=0), down.mean(axis=(0, 2))
    return np.array([np.mean([_excess(profile) for profile in profiles])], np.float32)


def _excess(profile: FloatArray) -> float:
    """How much larger the mean step is at block borders than just beside them, against the mean step."""
    beyond = profile[1:-1] - (profile[:-2] + profile[2:]) / 2
    border = np.arange(1, len(profile) - 1) % _BLOCK == _BLOCK - 1
    return float((beyond[border].mean() - beyond[~border].mean()) / (profile.mean() + _OFFSET))


BLOCKINESS = sensor(_read, blockiness=0.15)
