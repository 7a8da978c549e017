"""From stored features to the columns that are compared.

Two feature_groups: `embedding`, the backbone's features, judged together; and
`quality`, made from the camera-quality sensors' readings, each column judged by
itself:

- a single reading is a column as it is;
- a family of tiles (`noise.00`, `noise.01`, ...) becomes one column, the median
  over the tiles of how far each lies from its own reference median value. What moves
  through some tiles does not touch it, a fault of the camera moves all of them;
- a family called `layout...` becomes the typical size of those deviations after
  what all tiles share is taken away: how much the picture is rearranged;
- `motion` and `repeated` compare each frame with the one before.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from common.errors import BadMessage
from common.features import FeatureBlock

Array = npt.NDArray[np.float32]

EMBEDDING = "embedding"
QUALITY = "quality"
MOTION = "motion"
"""Natural log of how far the embedding moves from one sampled frame to the next."""
REPEATED = "repeated"
"""1 where a frame is the one before over again, to the last digit: no live camera does that."""
_MOTION_MINIMUM_EFFECT = 0.7  # natural log: half or double the movement is no fault of a camera
_REPEATED_MINIMUM_EFFECT = 0.1  # share of frames: encoders repeat one now and then
_LAYOUT = "layout"
_TYPICAL_TILE = 0.6  # quantile over the tiles: above the half that may be plain sky or wall
# Below a thousandth of the embedding's length, movement is rounding.
_STILL = 1e-3


def quality_names(sensor_names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the quality group's columns."""
    return (*(family for family, _ in _families(sensor_names)), MOTION, REPEATED)


def quality_minimum_effects(
    sensor_names: tuple[str, ...], minimum_effects: tuple[float, ...]
) -> npt.NDArray[np.float64]:
    """Return the (f,) smallest change of each column that matters, from those of the readings."""
    columns = [max(minimum_effects[part]) for _, part in _families(sensor_names)]
    return np.array([*columns, _MOTION_MINIMUM_EFFECT, _REPEATED_MINIMUM_EFFECT], np.float64)


def reference_medians(block: FeatureBlock) -> Array:
    """Return the (q,) medians of the readings: what tiles are compared with."""
    return np.median(block.quality, axis=0).astype(np.float32)


def quality_columns_of(
    readings: Array, between: Array, reference_median: Array, sensor_names: tuple[str, ...]
) -> Array:
    """Return the (n, f) columns of the quality group.

    Parameters
    ----------
    readings : (n, q) of the sensors
    between : (n, 2), see `between_frames`
    reference_median : (q,) readings to compare tiles with
    sensor_names : of the readings
    """
    columns = []
    for family, part in _families(sensor_names):
        if part.stop - part.start == 1:
            columns.append(readings[:, part.start])
            continue
        apart = readings[:, part] - reference_median[part]
        shared = np.median(apart, axis=1)
        if family.startswith(_LAYOUT):
            columns.append(np.quantile(np.abs(apart - shared[:, None]), _TYPICAL_TILE, axis=1))
        else:
            columns.append(shared + np.median(reference_median[part]))
    return np.column_stack([*columns, between]).astype(np.float32)


def between_frames(block: FeatureBlock) -> Array:
    """Return (n, 2): `motion` and `repeated` of each frame; the first has those of the second.

    Raises
    ------
    BadMessage
        If features are not finite.
    """
    if not (np.isfinite(block.embedding).all() and np.isfinite(block.quality).all()):
        raise BadMessage("features contain NaN or infinity: the frames they came from cannot be judged")
    if len(block) < 2:
        return np.zeros((len(block), 2), np.float32)
    embedding = block.embedding.astype(np.float32)
    length = float(np.sqrt(np.square(embedding).sum(axis=1)).mean()) or 1.0
    step = np.sqrt(np.square(np.diff(embedding, axis=0)).sum(axis=1)) / length
    same = (step == 0) & (np.diff(block.quality, axis=0) == 0).all(axis=1)
    columns = np.column_stack([np.log(step + _STILL), same])
    return np.concatenate([columns[:1], columns]).astype(np.float32)


def _families(sensor_names: tuple[str, ...]) -> list[tuple[str, slice]]:
    """Return each column's name and the readings that it is made from; tiles of a family lie side by side."""
    found: list[tuple[str, slice]] = []
    start = 0
    for family, members in itertools.groupby(sensor_names, key=_family):
        stop = start + len(list(members))
        found.append((family, slice(start, stop)))
        start = stop
    return found


def _family(name: str) -> str:
    family, dot, tile = name.rpartition(".")
    return family if dot and tile.isdigit() else name
