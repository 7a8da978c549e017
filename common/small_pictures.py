"""Small pictures for people to look at: how large they are, and how they are encoded."""

from __future__ import annotations

import cv2
import numpy as np

from common.features import Image

LONGEST_SIDE = 256
"""Of a picture, in pixels: enough to see what is wrong with a camera, about 10 kB."""
_QUALITY = 60  # of the JPEG


def encode_jpeg(image: Image) -> bytes | None:
    """Return a picture (height, width, 3) uint8 RGB as a JPEG; None if it cannot be encoded."""
    done, jpeg = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return jpeg.tobytes() if done else None


def reduced(image: Image) -> Image:
    """Return a picture (height, width, 3) with neither side longer than `LONGEST_SIDE`."""
    height, width = image.shape[:2]
    scale = LONGEST_SIDE / max(height, width)
    if scale >= 1.0:
        return image
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
