"""The size of an image from its header, without decoding a pixel.

A picture of a few kilobytes may claim 20,000 x 20,000 pixels and more than a
gigabyte of memory, so its claim is read before a decoder sees it. Each format is
known by its own first bytes, whatever the file is called. Pillow reads the
headers; OpenCV decodes what has passed.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

from PIL import Image

Size = tuple[int, int]
"""Width and height in pixels, as stored: before any turn that EXIF asks for."""

FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
"""What Pillow may open, and OpenCV decodes; beside WebP, see below."""

_HEAD_BYTES = 32

# Pillow would refuse a large image without saying how large it is. Who asks here compares with SENTINEL_MAX_PIXELS.
Image.MAX_IMAGE_PIXELS = None


def image_size(file: BinaryIO) -> Size | None:
    """Return the size that an image's header claims; None if it is no image known here, or cut short.

    Parameters
    ----------
    file : seekable, binary
    """
    file.seek(0)
    head = file.read(_HEAD_BYTES)
    file.seek(0)
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return _webp(head)
    try:
        with Image.open(file, formats=FORMATS) as image:
            return image.size
    except Exception:  # Pillow raises what its parsers meet: SyntaxError, KeyError, struct.error, OSError and more
        return None


def _webp(head: bytes) -> Size | None:
    """Read the size by hand: Pillow makes room for the whole canvas, twice, before it can be asked."""
    kind = head[12:16]
    if len(head) < _HEAD_BYTES - 2:
        return None
    if kind == b"VP8X":  # the canvas, each side less one in 24 bits
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    if kind == b"VP8L":  # each side less one in 14 bits
        (bits,) = struct.unpack("<I", head[21:25])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":  # 14 bits a side, two more for scaling
        width, height = struct.unpack("<HH", head[26:30])
        return width & 0x3FFF, height & 0x3FFF
    return None
