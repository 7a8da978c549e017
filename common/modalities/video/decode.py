"""The decode route: from files or bytes to RGB frames.

Frames that took two routes look like drift to each other, so the route is part
of a baseline's identity (`DECODE_PIPELINE`), and everything that makes features decodes here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice, repeat
from pathlib import Path

import av
import cv2

from common.contracts.batches import SourceKind
from common.errors import BadSource
from common.modalities.video.decoder import video_frames
from common.modalities.video.frame import STILLS_FPS, Frame, SourceInfo
from common.modalities.video.probe import probe, probe_image
from common.modalities.video.stills import decode_file, decode_image
from common.sources.local import Limits, images_in

__all__ = ["DECODE_PIPELINE", "Frame", "SourceInfo", "decode_image", "probe", "probe_image", "sampled_frames"]

_VERSION = 2  # raise it with any change here that changes pixels or which frames are sampled

DECODE_PIPELINE = (
    f"rgb24-v{_VERSION} swscale-{av.library_versions['libswscale'][0]} opencv-{cv2.__version__.split('.')[0]}"
)
"""Names what decides about pixels: this code, and the libraries that convert colours, resize, and decode stills.

Video codecs are exact by their standards, so that libavcodec's version does not matter.
"""


def sampled_frames(
    path: Path,
    kind: SourceKind,
    *,
    sample_fps: float | None,
    start: int,
    stop: int | None,
    limits: Limits,
    names: Sequence[str] = (),
    digests: Sequence[str] = (),
) -> Iterator[Frame]:
    """Yield the sampled frames `start` to `stop` (exclusive; None: to the end) of a source, in order.

    The parts [0, n), [n, 2n), ... give exactly the frames that the whole gives:
    the same pixels, indices and times. A part beyond the end gives nothing. The
    rule of sampling is `sampling.select`; stills are all sampled, and count as
    one second each.

    Parameters
    ----------
    path : a file, or a folder of images
    kind : from `sources.describe_kind`
    sample_fps : frames a second; None: every frame
    start, stop : counted in sampled frames from the start of the source
    limits : what a frame may measure
    names : of a folder, the images of just this part, where its listing is known: one that came late shifts nothing
    digests : of those images, or of the one image, where they are known: an image with another content is refused

    Raises
    ------
    BadSource
        If the source cannot be read, or no frame of the part can be decoded.
    """
    if kind is SourceKind.VIDEO:
        return video_frames(path, sample_fps=sample_fps, start=start, stop=stop, limits=limits)
    if names:
        return _named_frames(path, names, digests, start, limits)
    return _still_frames(path, kind, digests, start, stop, limits)


def _named_frames(
    folder: Path, names: Sequence[str], digests: Sequence[str], start: int, limits: Limits
) -> Iterator[Frame]:
    for index, (name, digest) in enumerate(zip(names, digests or repeat(""), strict=False), start):
        if Path(name).name != name:
            raise BadSource(f"{folder} is said to hold {name!r}, which is no file's name: hand the folder in again")
        yield Frame.of(decode_file(folder / name, limits, digest), index, index / STILLS_FPS)


def _still_frames(
    path: Path, kind: SourceKind, digests: Sequence[str], start: int, stop: int | None, limits: Limits
) -> Iterator[Frame]:
    images = images_in(path, limits) if kind is SourceKind.FOLDER else [path]
    known = zip(images, digests or repeat(""), strict=False)
    for index, (image, digest) in islice(enumerate(known), start, stop):
        yield Frame.of(decode_file(image, limits, digest), index, index / STILLS_FPS)
