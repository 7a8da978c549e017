"""The sampled frames of a part of a video.

PyAV decodes on one thread. Frames come as they
are stored: a turn that the container asks for is not made.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from common.errors import BadSource
from common.frames.frame import Frame
from common.frames.picture import Looks
from common.frames.sampling import TimestampArray, select
from common.frames.sources import Limits
from common.frames.timeline import Timeline, open_video, packets_of, read_timeline

log = logging.getLogger(__name__)


class _Trouble:
    """What went wrong in one reading."""

    def __init__(self) -> None:
        self.packets = 0
        self.last: Exception | None = None

    def met(self, error: Exception | None) -> None:
        self.packets += 1
        self.last = error or self.last


def video_frames(
    path: Path, *, sample_fps: float | None, start: int, stop: int | None, limits: Limits
) -> Iterator[Frame]:
    """Yield sampled frames `start` to `stop` of the video at `path`; see `decode.sampled_frames`.

    Which frames are sampled, and their indices, follow from the packets' times
    alone. So a part is the same wherever its reading starts. Where a sampled
    frame does not decode, the next that does before the next sampled one stands
    in for it.
    """
    timeline = read_timeline(path, limits)
    wanted = select(timeline.pts, timeline.time_base, sample_fps)
    stop = len(wanted) if stop is None else min(stop, len(wanted))
    if start >= stop and start > 0:
        return  # the header promised more than there is
    trouble = _Trouble()
    looks = Looks()
    given = 0
    if len(wanted):
        for index, pts, frame in _pick(_from(path, timeline, wanted, start, limits, trouble), wanted, start, stop):
            limits.check_size(f"{path}, frame at {timeline.seconds(pts):.2f} s,", frame.width, frame.height)
            given += 1
            yield Frame(looks.of_video(frame), index, timeline.seconds(pts))
    if trouble.packets:
        log.warning(
            "%s: %d packets do not decode (%s); the frames that do are used", path, trouble.packets, trouble.last
        )
    if not given:
        which = "no frame" if start == 0 and stop == len(wanted) else f"none of sampled frames {start} to {stop}"
        raise BadSource(f"{path}: {which} can be decoded; check that it plays, re-encode or replace it")


def _pick(
    frames: Iterator[tuple[int, VideoFrame]], wanted: TimestampArray, start: int, stop: int
) -> Iterator[tuple[int, int, VideoFrame]]:
    """Yield (index, pts, frame) of the first frame at or after each wanted time, and before the next."""
    last = start - 1
    for pts, frame in frames:
        index = int(np.searchsorted(wanted, pts, side="right")) - 1
        if index >= stop:
            return
        if index > last:
            last = index
            yield index, pts, frame
            if index == stop - 1:
                return


def _from(
    path: Path, timeline: Timeline, wanted: TimestampArray, start: int, limits: Limits, trouble: _Trouble
) -> Iterator[tuple[int, VideoFrame]]:
    """Yield (pts, frame) in order of showing, from the wanted one at `start` on; others may be left out.

    Decoding starts at the last key frame before. If that one is not shown
    itself, the entry was not clean: the seek was inexact, or the picture is
    refreshed by and by (and then differs a little from what reading on gives).
    If a packet fails on the way to `first`, what follows may lean on it. In
    both cases decoding starts at the key frame before that, then at the beginning.
    """
    first = int(wanted[start])
    needed = None if timeline.counted or len(wanted) == len(timeline.pts) else frozenset(wanted.tolist())
    for key in _starts(timeline, first):
        trouble.packets, clean, arrived = 0, key is None, key is None
        for pts, frame in _decoded(path, timeline, key, needed, limits, trouble):
            clean = clean or (key is not None and pts <= key)
            if not clean:
                break
            if pts < first:
                continue
            if not arrived and trouble.packets:
                break
            arrived = True  # what fails from here on fails wherever reading starts
            yield pts, frame
        if arrived:
            return


def _starts(timeline: Timeline, first: int) -> list[int | None]:
    """Where to start decoding for the frame at `first`, best first; None: at the beginning."""
    before = timeline.keys[: int(np.searchsorted(timeline.keys, first, side="right"))]
    return [int(key) for key in before[::-1][:2]] + [None]


def _decoded(
    path: Path, timeline: Timeline, key: int | None, needed: frozenset[int] | None, limits: Limits, trouble: _Trouble
) -> Iterator[tuple[int, VideoFrame]]:
    """Yield frames from a key frame on; with `needed` times, those that no other refers to only where needed."""
    with open_video(path, limits) as (container, stream):
        codec = stream.codec_context
        codec.thread_count = 1  # one process a core does the work in parallel
        codec.options = {"max_pixels": str(limits.max_pixels)}  # the size may change in mid-stream
        if key is not None:
            try:
                container.seek(key, stream=stream, backward=True)
            except (av.error.FFmpegError, OSError) as error:
                trouble.met(error)
                return
        count = 0
        for packet in _with_flush(packets_of(container, stream)):
            if needed is not None and packet is not None:
                codec.skip_frame = "DEFAULT" if packet.pts in needed else "NONREF"
            try:
                frames = codec.decode(packet)
            except (av.error.FFmpegError, ValueError) as error:
                trouble.met(error)
                continue
            for frame in frames:
                if frame.is_corrupt:
                    trouble.met(None)
                pts = count if timeline.counted else frame.pts
                count += 1
                if pts is not None:
                    yield pts, frame


def _with_flush(packets: Iterator[Packet[VideoStream]]) -> Iterator[Packet[VideoStream] | None]:
    """Yield packets, then the None that makes a decoder give out what it holds back."""
    yield from packets
    yield None
