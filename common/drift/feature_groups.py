"""Feature groups: turns stored features into the columns that are compared.

There are two groups. `embedding` holds the features of the backbone, which are
judged together. `quality` is made from the readings of the camera-quality
sensors, and each of its columns is judged by itself:

- A single reading is a column of its own.
- A family of tiles (`noise.00`, `noise.01`, ...) becomes one column: the median
  over the tiles of each tile's deviation from its own reference median. An
  object that passes through a few tiles does not change it; a fault of the
  camera changes all tiles.
- A family whose name starts with `layout` becomes one column: the 60% quantile
  of the tiles' absolute deviations after the deviation common to all tiles has
  been subtracted. It measures how much the picture has been rearranged.
- `motion` and `repeated` compare each frame with the previous one.
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
"""Natural log of the relative step of the embedding from one sampled frame to the next."""
REPEATED = "repeated"
"""1 where all features of a frame equal those of the previous one exactly, which no live camera produces; else 0."""
_MOTION_MINIMUM_EFFECT = 0.7  # natural log: half or twice as much motion is no fault of a camera
_REPEATED_MINIMUM_EFFECT = 0.1  # share of frames: encoders repeat a frame now and then
_LAYOUT = "layout"
_TYPICAL_TILE = 0.6  # quantile over the tiles; more than half, because half of them may show plain sky or wall
_STILL = 1e-3  # of the embedding's length; smaller steps are rounding errors


def quality_names(sensor_names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the quality group's columns."""
    return (*(family for family, _ in _families(sensor_names)), MOTION, REPEATED)


def quality_minimum_effects(
    sensor_names: tuple[str, ...], minimum_effects: tuple[float, ...]
) -> npt.NDArray[np.float64]:
    """Return (f,) the smallest change of each column that matters, given (q,) those of the readings."""
    columns = [max(minimum_effects[part]) for _, part in _families(sensor_names)]
    return np.array([*columns, _MOTION_MINIMUM_EFFECT, _REPEATED_MINIMUM_EFFECT], np.float64)


def reference_medians(block: FeatureBlock) -> Array:
    """Return the (q,) medians of a clip's readings, which tiles are compared with."""
    return np.median(block.quality, axis=0).astype(np.float32)


def quality_columns_of(
    readings: Array, between: Array, reference_median: Array, sensor_names: tuple[str, ...]
) -> Array:
    """Return the (n, f) columns of the quality group, in the order of `quality_names`.

    Parameters
    ----------
    readings : (n, q) of the sensors
    between : (n, 2) from `between_frames`
    reference_median : (q,) median of each reading in the reference; tiles are compared with it
    sensor_names : (q,) names of the readings
    """
    columns = []
    for family, part in _families(sensor_names):
        if part.stop - part.start == 1:
            columns.append(readings[:, part.start])
            continue
        deviations = readings[:, part] - reference_median[part]
        shared = np.median(deviations, axis=1)
        if family.startswith(_LAYOUT):
            columns.append(np.quantile(np.abs(deviations - shared[:, None]), _TYPICAL_TILE, axis=1))
        else:
            columns.append(shared + np.median(reference_median[part]))
    return np.column_stack([*columns, between]).astype(np.float32)


def between_frames(block: FeatureBlock) -> Array:
    """Return (n, 2): `motion` and `repeated` of each frame; the first frame gets the values of the second.

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
    """Return the name of each column and the slice of readings that it is made from.

    The tiles of a family must be adjacent in `sensor_names`.
    """
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
