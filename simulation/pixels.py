"""From computed values back to the 8-bit pixels of a picture."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from common.features import Image


def to_image(values: npt.NDArray[np.floating]) -> Image:
    """Return values in grey levels as 8-bit pixels of the same shape: rounded, and clipped to 0 and 255."""
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)
