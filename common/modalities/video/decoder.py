"""The sampled frames of a part of a video.

PyAV decodes on one thread. Frames come as they are stored: a turn that the
container asks for is not made. What no sampled frame needs is not decoded: from
the last sampled frame that leans on a key frame, reading goes on at the next
key frame that one leans on, and on the way frames that no other refers to are
left out.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from itertools import count
from pathlib import Path

import av
import numpy as np
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from common.errors import BadSource
from common.modalities.video.frame import Frame
from common.modalities.video.frame_converter import FrameConverter
from common.modalities.video.sampling import TimestampArray
from common.modalities.video.timeline import Timeline, open_video, packets_of, read_sampled, read_timeline
from common.sources.local import Limits

log = logging.getLogger(__name__)

_WORTH_SKIPPING = 4  # frames: to leave a few more out costs as much as it saves


class _DecodeErrors:
    """What went wrong in one reading."""

    def __init__(self) -> None:
        self.packets = 0
        self.last: Exception | None = None

    def record(self, error: Exception | None) -> None:
        self.packets += 1
        self.last = error or self.last


class _UncleanEntry(Exception):
    """Decoding that started at key frame `key` did not give it."""

    def __init__(self, key: int) -> None:
        super().__init__(key)
        self.key = key


@dataclass(frozen=True)
class _Part:
    """What is read: sampled frames `start` to `stop` of `wanted`, presentation times."""

    path: Path
    timeline: Timeline
    wanted: TimestampArray
    start: int
    stop: int
    limits: Limits

    def from_time(self, pts: int) -> _Part:
        """Return the part from the first sampled frame at or after `pts` on."""
        start = int(np.searchsorted(self.wanted, pts))
        return _Part(self.path, self.timeline, self.wanted, max(self.start, start), self.stop, self.limits)

    @property
    def needed(self) -> TimestampArray | None:
        """Times of the frames that are asked for; None: all of them, or their times cannot be relied on."""
        everything = self.timeline.counted or len(self.wanted) == len(self.timeline.pts)
        return None if everything else self.wanted[self.start : self.stop]


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
    wanted = read_sampled(path, sample_fps, limits)
    stop = len(wanted) if stop is None else min(stop, len(wanted))
    if start >= stop and start > 0:
        return  # the header promised more than there is
    errors, converter, given = _DecodeErrors(), FrameConverter(), 0
    if len(wanted):
        part = _Part(path, timeline, wanted, start, stop, limits)
        for index, pts, frame in _pick(_from(part, errors), part):
            limits.check_size(f"{path}, frame at {timeline.seconds(pts):.2f} s,", frame.width, frame.height)
            given += 1
            yield Frame(converter.of_video(frame), index, timeline.seconds(pts))
    if errors.packets:
        log.warning("%s: %d packets do not decode (%s); the frames that do are used", path, errors.packets, errors.last)
    if not given:
        which = "no frame" if start == 0 and stop == len(wanted) else f"none of sampled frames {start} to {stop}"
        raise BadSource(f"{path}: {which} can be decoded; check that it plays, re-encode or replace it")


def _pick(frames: Iterator[tuple[int, VideoFrame]], part: _Part) -> Iterator[tuple[int, int, VideoFrame]]:
    """Yield (index, pts, frame) of the first frame at or after each wanted time, and before the next."""
    last = part.start - 1
    for pts, frame in frames:
        index = int(np.searchsorted(part.wanted, pts, side="right")) - 1
        if index >= part.stop:
            return
        if index > last:
            last = index
            yield index, pts, frame
            if index == part.stop - 1:
                return


def _from(part: _Part, errors: _DecodeErrors, *, tried: int = 0) -> Iterator[tuple[int, VideoFrame]]:
    """Yield (pts, frame) in order of showing, from the first wanted one on; others may be left out.

    Decoding starts at the last key frame before. If that one is not shown
    itself, the entry was not clean: the seek was inexact, or the picture is
    refreshed by and by (and then differs a little from what reading on gives).
    If a packet fails on the way to the first, what follows may lean on it. In
    both cases decoding starts at the key frame before that, then at the
    beginning, and nothing is left out any more. The same holds for a key frame
    at which reading went on after a part that nobody needs.

    `tried` says how many of these starts are known not to do.
    """
    first = int(part.wanted[part.start])
    for attempt, key in enumerate(_starts(part.timeline, first)[tried:], tried):
        errors.packets, clean, arrived = 0, key is None, key is None
        try:
            for pts, frame in _decoded(part, key, errors, skips=attempt == 0 and key is not None):
                clean = clean or (key is not None and pts <= key)
                if not clean:
                    break
                if pts < first:
                    continue
                if not arrived and errors.packets:
                    break
                arrived = True  # what fails from here on fails wherever reading starts
                yield pts, frame
        except _UncleanEntry as unclean:
            rest = part.from_time(unclean.key)
            yield from _from(rest, errors, tried=1)
            return
        if arrived:
            return


def _starts(timeline: Timeline, first: int) -> list[int | None]:
    """Where to start decoding for the frame at `first`, best first; None: at the beginning."""
    before = timeline.keys[: int(np.searchsorted(timeline.keys, first, side="right"))]
    return [int(key) for key in before[::-1][:2]] + [None]


def _decoded(part: _Part, key: int | None, errors: _DecodeErrors, *, skips: bool) -> Iterator[tuple[int, VideoFrame]]:
    """Yield (pts, frame) from a key frame on; with `skips`, what no wanted frame leans on is left out.

    Raises
    ------
    _UncleanEntry
        If reading went on at a key frame, and that one is not given.
    """
    timeline, needed = part.timeline, part.needed
    times = frozenset(needed.tolist()) if needed is not None else None
    plan = _Plan(timeline.keys, timeline.pts, needed) if needed is not None and skips else None
    with open_video(part.path, part.limits) as (container, stream):
        codec = stream.codec_context
        codec.thread_count = 1  # one process a core does the work in parallel
        codec.options = {"max_pixels": str(part.limits.max_pixels)}  # the size may change in mid-stream
        if key is not None:
            try:
                container.seek(key, stream=stream, backward=True)
            except (av.error.FFmpegError, OSError) as error:
                errors.record(error)
                return
        counter = count()
        entry: int | None = None  # the key frame that is due, since reading went on at it
        for packet in _with_flush(packets_of(container, stream)):
            step = plan.see(packet) if plan is not None and packet is not None else _Step.FEED
            if step is _Step.LEAVE_OUT:
                continue
            if step is _Step.ENTER and packet is not None:
                yield from _timed(_tried(codec, None, errors), timeline, counter)
                codec.flush_buffers()
                entry = packet.pts
            if times is not None and packet is not None:
                codec.skip_frame = "DEFAULT" if packet.pts in times else "NONREF"
            for pts, frame in _timed(_tried(codec, packet, errors), timeline, counter):
                if entry is not None and pts >= entry:
                    if pts > entry:
                        raise _UncleanEntry(entry)
                    entry = None
                yield pts, frame
            if plan is not None and plan.done:
                yield from _timed(_tried(codec, None, errors), timeline, counter)
                return


class _Step(Enum):
    """What to do with a packet."""

    FEED = auto()
    LEAVE_OUT = auto()
    ENTER = auto()
    """Feed it after a gap: the decoder must forget what came before."""


class _Plan:
    """Which packets the wanted frames lean on, in the order of decoding.

    Packets are fed from a key frame until every wanted frame that leans on it
    has been; then they are left out up to the next key frame that one leans on.

    Parameters
    ----------
    keys, pts : times of key frames and of all frames, ascending
    needed : times of wanted frames, ascending, none before the first key frame
    """

    def __init__(self, keys: TimestampArray, pts: TimestampArray, needed: TimestampArray) -> None:
        self._pts = pts
        entries = keys[np.searchsorted(keys, needed, side="right") - 1]
        self._ahead = deque((int(key), set(needed[entries == key].tolist())) for key in np.unique(entries))
        self._left = self._ahead.popleft()[1]
        self._asleep = False
        self._earliest: int | None = None
        self.done = False
        """Nothing that is wanted comes after the packet that was seen last."""

    def see(self, packet: Packet[VideoStream]) -> _Step:
        pts = packet.pts
        arrives = pts is not None and packet.is_keyframe and bool(self._ahead) and pts == self._ahead[0][0]
        if self._asleep and not arrives:
            return _Step.LEAVE_OUT
        if self._earliest is not None and pts is not None and pts < self._earliest:
            return _Step.LEAVE_OUT  # shown before the key frame that reading went on at: it leans on what was left out
        step = _Step.FEED
        if arrives:
            self._left |= self._ahead.popleft()[1]
            if self._asleep:
                self._asleep, self._earliest, step = False, pts, _Step.ENTER
        self._left.discard(pts)
        if self._left:
            return step
        self.done = not self._ahead
        if self._ahead and pts is not None:
            between = np.searchsorted(self._pts, [pts, self._ahead[0][0]])
            self._asleep = int(between[1] - between[0]) > _WORTH_SKIPPING
        return step


def _tried(codec: VideoCodecContext, packet: Packet[VideoStream] | None, errors: _DecodeErrors) -> list[VideoFrame]:
    """Return the frames that `packet` brings out of the decoder; None: all that it still holds."""
    try:
        frames = codec.decode(packet)
    except (av.error.FFmpegError, ValueError) as error:
        errors.record(error)
        return []
    for frame in frames:
        if frame.is_corrupt:
            errors.record(None)
    return frames


def _timed(frames: list[VideoFrame], timeline: Timeline, counter: Iterator[int]) -> Iterator[tuple[int, VideoFrame]]:
    """Yield (pts, frame); where the packets' times cannot be relied on, frames are counted instead."""
    for frame in frames:
        number = next(counter)
        pts = number if timeline.counted else frame.pts
        if pts is not None:
            yield pts, frame


def _with_flush(packets: Iterator[Packet[VideoStream]]) -> Iterator[Packet[VideoStream] | None]:
    """Yield packets, then the None that makes a decoder give out what it holds back."""
    yield from packets
    yield None
