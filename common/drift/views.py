"""From stored features to the columns that are compared.

Two views: `embedding`, the backbone's features, judged together; and
`quality`, the camera-quality sensors plus `motion`, each judged by itself.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from common.contracts import FeatureBlock
from common.errors import BadMessage

EMBEDDING = "embedding"
QUALITY = "quality"
MOTION = "motion"
"""Natural log of how far the embedding moves from one sampled frame to the next: a frozen picture does not."""
MOTION_FLOOR = 0.7  # natural log: half or double the movement is no fault of a camera

# Below a thousandth of the embedding's length, movement is rounding.
_STILL = 1e-3


def quality_names(sensor_names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the quality view's columns."""
    return (*sensor_names, MOTION)


def quality_view(block: FeatureBlock) -> npt.NDArray[np.float32]:
    """Return the (n, q + 1) columns of the quality view; raise `BadMessage` if they are not finite."""
    return np.column_stack([block.quality, motion(block)]).astype(np.float32)


def motion(block: FeatureBlock) -> npt.NDArray[np.float32]:
    """Return (n,) how far each frame moved from the one before; the first repeats the second."""
    if not (np.isfinite(block.embedding).all() and np.isfinite(block.quality).all()):
        raise BadMessage("features contain NaN or infinity: the frames they came from cannot be judged")
    if len(block) < 2:
        return np.zeros(len(block), np.float32)
    embedding = block.embedding.astype(np.float32)
    length = float(np.sqrt((embedding * embedding).sum(axis=1)).mean()) or 1.0
    step = embedding[1:] - embedding[:-1]
    moved = np.sqrt((step * step).sum(axis=1)) / length
    column = np.log(moved + _STILL)
    return np.concatenate([column[:1], column]).astype(np.float32)
