"""Decodes still images, from files or from memory, to RGB.

OpenCV decodes them. Grey and palette images, images with alpha (which is
dropped) and 16-bit images (of which the upper eight bits are used) all become
8-bit RGB, rotated as their EXIF data demands.

JPEG is decoded at full size. Its decoder could halve the image in half the time,
but the sensors need every pixel: a tenth of their readings would change by more
than their minimum effect, and so would the embedding (`benchmarks.jpeg`).
"""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np

from common.errors import BadSource
from common.features import Image
from common.sources.headers import Size, image_size
from common.sources.identity import read_accepted
from common.sources.limits import Limits
from common.sources.local import check_file, unreadable


def file_size(path: Path, limits: Limits) -> Size:
    """Return (width, height) of the image at `path` from its header; raise `BadSource` if it exceeds the limits."""
    check_file(path, limits)
    try:
        with path.open("rb") as file:
            return _checked(str(path), image_size(file), limits)
    except OSError as error:
        raise unreadable(path, error) from error


def data_size(data: bytes, name: str, limits: Limits) -> Size:
    """Return (width, height) of an encoded image from its header; raise `BadSource` if it exceeds the limits."""
    if not data:
        raise BadSource(f"{name} is empty: send the image itself")
    return _checked(name, image_size(io.BytesIO(data)), limits)


def decode_file(path: Path, limits: Limits, digest: str = "") -> Image:
    """Return the image at `path` as (height, width, 3) uint8, RGB.

    Raises
    ------
    BadSource
        If it cannot be read or decoded, or has not the content of this `digest` (empty: any content will do).
    """
    return decode_image(read_accepted(path, limits, digest), str(path), limits)


def decode_image(data: bytes, name: str, limits: Limits) -> Image:
    """Return an encoded image as (height, width, 3) uint8, RGB.

    Parameters
    ----------
    data : the bytes of an image file
    name : used in error messages
    limits : what the image may measure

    Raises
    ------
    BadSource
        If it is no image, too large, too small, damaged or truncated.
    """
    data_size(data, name, limits)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise BadSource(f"{name} cannot be decoded ({error.err}): it is damaged; send it again") from error
    if image is None:
        raise BadSource(f"{name} cannot be decoded: it is damaged or cut short; send it again, whole")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image), np.uint8)


def _checked(name: str, size: Size | None, limits: Limits) -> Size:
    if size is None:
        raise BadSource(
            f"{name} is no image that can be read, or its start is damaged: send JPEG, PNG, BMP, WebP, TIFF, PPM, "
            "JPEG 2000 or AVIF (OpenEXR, GIF and others are not read as images)"
        )
    limits.check_size(name, *size)
    return size
