"""The backbone's small view of a frame."""

from __future__ import annotations

import cv2
import numpy as np

from common.contracts import Image


def resize(image: Image, side: int) -> Image:
    """Return `image` as (side, side, 3) uint8, each small pixel the mean of the area that it covers.

    The frame is squeezed, not cropped: what happens at its edges counts too. The
    area mean does not alias, and aliasing looks like drift (linear
    interpolation: cosine .96 to this).

    Parameters
    ----------
    image : (height, width, 3) uint8
    side : pixels
    """
    if image.shape[:2] == (side, side):
        return image
    return np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
