"""When the frames of a source were taken: what containers and EXIF data say, else its name, else the file."""

from __future__ import annotations

import io
from datetime import datetime
from pathlib import Path

from PIL import ExifTags, Image, UnidentifiedImageError

from common.contracts.batches import SourceKind
from common.modalities.video.frame import SourceInfo
from common.sources.capture_time import CaptureTimes, times_of_file, times_of_images
from common.sources.local import Limits, images_in

# What is wrong with an image's metadata is no reason to refuse the image: it has no capture time then.
_UNREADABLE = (UnidentifiedImageError, OSError, ValueError, SyntaxError, TypeError, KeyError, IndexError, EOFError)
_FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "AVIF", "MPO")


def capture_times(path: Path, info: SourceInfo, limits: Limits) -> CaptureTimes:
    """Return when the frames of the source at `path` were taken; `info` is what `probe` said of it.

    Reads headers of images, and nothing more of videos than `probe` has read.

    Raises
    ------
    BadSource
        If a folder cannot be listed.
    OSError
        If a file is gone.
    """
    if info.kind is SourceKind.VIDEO:
        return times_of_file(path, info.duration, info.created_at)
    images = images_in(path, limits) if info.kind is SourceKind.FOLDER else [path]
    exif: list[float | None] = []
    for image in images:
        exif.append(exif_time(image))
        if exif[-1] is None:  # a clock that not all images know is not used
            break
    return times_of_images(images, exif)


def exif_time(image: Path | bytes) -> float | None:
    """Return when an image was taken by its EXIF data, in seconds since the epoch; None where that does not say.

    Reads the header only. A time without a zone is this machine's local time.
    """
    try:
        with Image.open(io.BytesIO(image) if isinstance(image, bytes) else image, formats=_FORMATS) as opened:
            tags = opened.getexif().get_ifd(ExifTags.IFD.Exif)
            taken = str(tags[ExifTags.Base.DateTimeOriginal]).strip("\0 ")
            zone = str(tags.get(ExifTags.Base.OffsetTimeOriginal, "")).strip("\0 ")
            fraction = str(tags.get(ExifTags.Base.SubsecTimeOriginal, "")).strip("\0 ")
            fraction = fraction if fraction.isdecimal() else "0"
            moment = datetime.strptime(f"{taken}.{fraction[:6]}{zone}", "%Y:%m:%d %H:%M:%S.%f" + ("%z" if zone else ""))
            return moment.timestamp()
    except (*_UNREADABLE, Image.DecompressionBombError, OverflowError):
        return None
