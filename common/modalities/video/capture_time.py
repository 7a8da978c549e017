"""The capture times of a source's frames: from its container or EXIF data, else from its name, else from the file."""

from __future__ import annotations

import io
from datetime import datetime
from pathlib import Path

from PIL import ExifTags, Image, UnidentifiedImageError

from common.contracts.batches import SourceKind
from common.modalities.video.frame import SourceInfo
from common.sources.capture_time import CaptureTimes, times_of_file, times_of_images
from common.sources.limits import Limits
from common.sources.local import images_in

# An image with unreadable metadata is not refused; it has no capture time.
_UNREADABLE = (UnidentifiedImageError, OSError, ValueError, SyntaxError, TypeError, KeyError, IndexError, EOFError)
_FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "AVIF", "MPO")


def capture_times(path: Path, info: SourceInfo, limits: Limits) -> CaptureTimes:
    """Return the capture times of the frames of the source at `path`.

    The headers of images are read; for videos, what `probe` has read suffices.

    Parameters
    ----------
    path : a file, or a folder of images
    info : the result of `probe` for it
    limits : what a source may measure

    Raises
    ------
    BadSource
        If a folder cannot be listed.
    OSError
        If a file no longer exists.
    """
    if info.kind is SourceKind.RECORDING:
        return times_of_file(path, info.duration, info.created_at)
    images = images_in(path, limits) if info.kind is SourceKind.FOLDER else [path]
    exif: list[float | None] = []
    for image in images:
        exif.append(exif_time(image))
        if exif[-1] is None:  # EXIF times are used only if all images have them
            break
    return times_of_images(images, exif)


def exif_time(image: Path | bytes) -> float | None:
    """Return the capture time in an image's EXIF data, seconds since the epoch; None if it has none.

    Only the header is read. A time without a zone is taken as this machine's local time.
    """
    try:
        with (
            io.BytesIO(image) if isinstance(image, bytes) else image.open("rb") as file,
            Image.open(file, formats=_FORMATS) as opened,
        ):
            tags = opened.getexif().get_ifd(ExifTags.IFD.Exif)
            taken = str(tags[ExifTags.Base.DateTimeOriginal]).strip("\0 ")
            zone = str(tags.get(ExifTags.Base.OffsetTimeOriginal, "")).strip("\0 ")
            fraction = str(tags.get(ExifTags.Base.SubsecTimeOriginal, "")).strip("\0 ")
            fraction = fraction if fraction.isdecimal() else "0"
            moment = datetime.strptime(f"{taken}.{fraction[:6]}{zone}", "%Y:%m:%d %H:%M:%S.%f" + ("%z" if zone else ""))
            return moment.timestamp()
    except (*_UNREADABLE, Image.DecompressionBombError, OverflowError):
        return None
