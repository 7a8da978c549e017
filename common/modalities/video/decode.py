"""The decode pipeline: from files or bytes to frames.

Frames decoded by two different pipelines differ enough to look like drift. The
pipeline is therefore part of a baseline's identity (`DECODE_PIPELINE`), and
everything that computes features decodes through this module.
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
from common.sources.limits import Limits
from common.sources.local import images_in

__all__ = ["DECODE_PIPELINE", "Frame", "SourceInfo", "decode_image", "probe", "probe_image", "sampled_frames"]

_VERSION = 2  # increase it with any change that affects pixels or the choice of sampled frames

DECODE_PIPELINE = (
    f"rgb24-v{_VERSION} swscale-{av.library_versions['libswscale'][0]} opencv-{cv2.__version__.split('.')[0]}"
)
"""Identifies what determines the pixels: this code, and the libraries that convert colours, resize and decode stills.

The standards of video codecs define their output exactly, so libavcodec's version does not matter.
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

    The parts [0, n), [n, 2n), ... together yield exactly the frames of the whole
    source: the same pixels, indices and times. A part beyond the end yields
    nothing. Frames of a video are sampled by `sampling.select`. Stills are all
    sampled and count as one second each.

    Parameters
    ----------
    path : a file, or a folder of images
    kind : as `sources.local.describe_kind` returns it
    sample_fps : sampled frames per second; None: every frame
    start, stop : indices among the sampled frames of the source
    limits : what a frame may measure
    names : file names of the images `start` to `stop` of a folder, if its listing was recorded; images that were added
        to the folder later then change nothing
    digests : of the contents of those images, or of the one image, if they were recorded: another content is refused

    Raises
    ------
    BadSource
        If the source cannot be read, or no frame of the part can be decoded.
    """
    if kind is SourceKind.RECORDING:
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
