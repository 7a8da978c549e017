"""Reads what the header of a source declares, without decoding any pixel."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import av

from common.contracts.batches import SourceKind
from common.errors import BadSource
from common.modalities.video.frame import STILLS_FPS, SourceInfo
from common.modalities.video.stills import data_size, file_size
from common.modalities.video.timeline import open_video, read_timeline, stream_fps
from common.sources.capture_time import is_plausible, parse_time
from common.sources.limits import Limits
from common.sources.local import check_file, images_in

# Chunks are planned by the number of frames that a header declares, which may be anything. The smallest packet, of a
# frame that repeats the previous one, has about this many bytes. If more frames are declared than fit into the file,
# packets are counted instead.
_SMALLEST_PACKET_BYTES = 8


def probe(path: Path, kind: SourceKind, limits: Limits) -> SourceInfo:
    """Return what the header of the source at `path` declares.

    Parameters
    ----------
    path : a file, or a folder of images
    kind : as `sources.local.describe_kind` returns it
    limits : largest sources and frames that are accepted

    Raises
    ------
    BadSource
        If the source cannot be read, its content does not match its suffix, or it exceeds the limits.
    """
    if kind is SourceKind.RECORDING:
        return _probe_video(path, limits)
    images = images_in(path, limits) if kind is SourceKind.FOLDER else [path]
    # All images are checked, so that a folder with a bad one is refused as a whole and not half-way through.
    sizes = [file_size(image, limits) for image in images]
    return _stills(kind, *sizes[0], len(sizes))


def probe_image(data: bytes, name: str, limits: Limits) -> SourceInfo:
    """Return what the header of an encoded image in memory declares; `name` is used in error messages."""
    return _stills(SourceKind.IMAGE, *data_size(data, name, limits), 1)


def _stills(kind: SourceKind, width: int, height: int, count: int) -> SourceInfo:
    return SourceInfo(kind, width, height, STILLS_FPS, count / STILLS_FPS, count)


# Matroska writes DATE, MP4 and QuickTime write creation_time; Apple's key includes the time zone.
_CREATION_TAGS = ("com.apple.quicktime.creationdate", "creation_time", "date")


def _created_at(tags: Mapping[str, str]) -> float | None:
    """Return the recording time that a container's metadata declares, seconds since the epoch, or None."""
    lower = {name.lower(): value for name, value in tags.items()}
    for tag in _CREATION_TAGS:
        value = lower.get(tag, "")
        # A date without a time, as music players write it, is no capture time.
        seconds = parse_time(value) if "T" in value or ":" in value else None
        if seconds is not None and is_plausible(seconds):
            return seconds
    return None


def _probe_video(path: Path, limits: Limits) -> SourceInfo:
    size = check_file(path, limits)
    with open_video(path, limits) as (container, stream):
        width, height, fps = stream.width, stream.height, stream_fps(stream)
        duration = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
        duration = duration or (container.duration or 0) / av.time_base
        frames = stream.frames
        created = _created_at({**container.metadata, **stream.metadata})
    if not width or not height:
        raise BadSource(
            f"{path} does not say how large its frames are, or more than SENTINEL_MAX_PIXELS ({limits.max_pixels}): "
            "check that it plays; re-encode or scale it down"
        )
    limits.check_size(str(path), width, height)
    # Few containers other than MP4 store their number of frames, and the rate may vary, so packets are counted then.
    if not frames or not duration or frames > size / _SMALLEST_PACKET_BYTES:
        timeline = read_timeline(path, limits)
        frames, duration = len(timeline.pts), timeline.duration
    if not frames:
        raise BadSource(f"{path} holds a header and no frames: it is cut short; send it again, whole")
    limits.check_length(str(path), frames, duration)
    return SourceInfo(SourceKind.RECORDING, width, height, fps, duration, frames, created)
