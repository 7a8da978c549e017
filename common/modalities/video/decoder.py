"""Decodes the sampled frames of a part of a video.

PyAV decodes on one thread. Frames are returned as stored: a rotation declared by
the container is not applied. Frames that no sampled frame needs are not decoded.
After the last sampled frame of a group of pictures, reading continues at the
next key frame whose group contains a sampled frame. Within a group, frames that
are neither sampled nor referenced by others are skipped.
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
from common.modalities.video.vitals import Vitals
from common.sources.limits import Limits

log = logging.getLogger(__name__)

_MIN_SKIP = 4  # frames; skipping only a few costs as much as it saves


class _DecodeErrors:
    """The packets that could not be decoded, or not without errors, and the last error.

    Attributes
    ----------
    failed : timestamps of their frames; where timestamps are unreliable, the number of frames decoded before
    decoded : number of frames that were decoded
    """

    def __init__(self, *, counted: bool) -> None:
        self._counted = counted
        self.last: Exception | None = None
        self.restart()

    def restart(self) -> None:
        """Forget the packets: decoding starts anew."""
        self.packets, self.decoded = 0, 0
        self.failed: set[int] = set()

    def record(self, error: Exception | None, pts: int | None = None) -> None:
        self.packets += 1
        self.last = error or self.last
        at = self.decoded if self._counted else pts
        if at is not None:
            self.failed.add(at)


class _UncleanEntry(Exception):
    """Decoding started at key frame `key` and did not return that frame."""

    def __init__(self, key: int) -> None:
        super().__init__(key)
        self.key = key


@dataclass(frozen=True)
class _Part:
    """The part of a video to read: frames `start` to `stop` of `wanted`, the timestamps of all sampled frames."""

    path: Path
    timeline: Timeline
    wanted: TimestampArray
    start: int
    stop: int
    limits: Limits

    def from_time(self, pts: int) -> _Part:
        """Return the rest of this part from the first sampled frame at or after `pts`."""
        start = int(np.searchsorted(self.wanted, pts))
        return _Part(self.path, self.timeline, self.wanted, max(self.start, start), self.stop, self.limits)

    @property
    def needed(self) -> TimestampArray | None:
        """Timestamps of the frames to decode; None: all frames, or the timestamps are unreliable.

        The sampled frames between the last key frame and the first one of the part are among them: whether they can be
        decoded is part of the first one's vitals. Where decoding cannot start at a key frame, all before the part are.
        """
        if self.timeline.counted or len(self.wanted) == len(self.timeline.pts):
            return None
        keys = self.timeline.keys
        group = int(np.searchsorted(keys, self.wanted[self.start], side="right"))
        start = int(np.searchsorted(self.wanted, keys[group - 1])) if group else 0
        return self.wanted[start : self.stop]


def video_frames(
    path: Path, *, sample_fps: float | None, start: int, stop: int | None, limits: Limits
) -> Iterator[Frame]:
    """Yield sampled frames `start` to `stop` of the video at `path`; see `decode.sampled_frames`.

    The sampled frames and their indices depend on the packets' timestamps alone,
    so a part is the same wherever reading starts. A sampled frame that cannot be
    decoded is replaced by the first decodable frame after it, if there is one
    before the next sampled frame.
    """
    timeline = read_timeline(path, limits)
    wanted = read_sampled(path, sample_fps, limits)
    stop = len(wanted) if stop is None else min(stop, len(wanted))
    if start >= stop and start > 0:
        return  # the header declared more frames than there are
    errors, converter, yielded = _DecodeErrors(counted=timeline.counted), FrameConverter(), 0
    if len(wanted):
        part, vitals = _Part(path, timeline, wanted, start, stop, limits), Vitals(timeline, wanted, start, stop)
        for index, pts, frame in _select(_read(part, errors), part):
            limits.check_size(f"{path}, frame at {timeline.seconds(pts):.2f} s,", frame.width, frame.height)
            yielded += 1
            found = vitals.of(index, pts, errors.failed)
            yield Frame(converter.of_video(frame), index, timeline.seconds(pts), found)
    if errors.packets:
        log.warning("%s: %d packets do not decode (%s); the frames that do are used", path, errors.packets, errors.last)
    if not yielded:
        which = "no frame" if start == 0 and stop == len(wanted) else f"none of sampled frames {start} to {stop}"
        raise BadSource(f"{path}: {which} can be decoded; check that it plays, re-encode or replace it")


def _select(frames: Iterator[tuple[int, VideoFrame]], part: _Part) -> Iterator[tuple[int, int, VideoFrame]]:
    """Yield (index, pts, frame) of the first frame at or after each wanted timestamp and before the next one."""
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


def _read(part: _Part, errors: _DecodeErrors, *, failed_entries: int = 0) -> Iterator[tuple[int, VideoFrame]]:
    """Yield (pts, frame) in presentation order from the first wanted frame; frames that are not wanted may be missing.

    Decoding starts at the last key frame before the first wanted frame. This
    entry fails in two cases. First, the key frame itself is not returned: the
    seek was inexact, or the encoder refreshes the picture gradually, so that
    frames decoded from here differ from those decoded from the beginning.
    Second, a packet before the first wanted frame cannot be decoded, and later
    frames may reference it. Decoding then restarts at the previous key frame,
    and if that fails at the beginning of the video, without skipping any frame.
    The same applies where reading continued at a later key frame after a skip.

    Parameters
    ----------
    failed_entries : how many of the possible entries are known to fail
    """
    first = int(part.wanted[part.start])
    for attempt, key in enumerate(_entries(part.timeline, first)[failed_entries:], failed_entries):
        errors.restart()
        clean, arrived = key is None, key is None
        try:
            for pts, frame in _decode(part, key, errors, skip=attempt == 0 and key is not None):
                clean = clean or (key is not None and pts <= key)
                if not clean:
                    break
                if pts < first:
                    continue
                if not arrived and errors.packets:
                    break
                arrived = True  # later errors would occur from any entry
                yield pts, frame
        except _UncleanEntry as unclean:
            rest = part.from_time(unclean.key)
            yield from _read(rest, errors, failed_entries=1)
            return
        if arrived:
            return


def _entries(timeline: Timeline, first: int) -> list[int | None]:
    """Return the key frames at which decoding for the frame `first` may start, best first; None: at the beginning."""
    before = timeline.keys[: int(np.searchsorted(timeline.keys, first, side="right"))]
    return [int(key) for key in before[::-1][:2]] + [None]


def _decode(part: _Part, key: int | None, errors: _DecodeErrors, *, skip: bool) -> Iterator[tuple[int, VideoFrame]]:
    """Yield (pts, frame) from key frame `key`; with `skip`, groups of pictures without a wanted frame are skipped.

    Raises
    ------
    _UncleanEntry
        If reading continued at a key frame after a skip, and that frame is not returned.
    """
    timeline, needed = part.timeline, part.needed
    times = frozenset(needed.tolist()) if needed is not None else None
    plan = _SkipPlan(timeline.keys, timeline.pts, needed) if needed is not None and skip else None
    with open_video(part.path, part.limits) as (container, stream):
        codec = stream.codec_context
        codec.thread_count = 1  # the work is parallel already: there is one process per core
        codec.options = {"max_pixels": str(part.limits.max_pixels)}  # the size may change within the stream
        if key is not None:
            try:
                container.seek(key, stream=stream, backward=True)
            except (av.error.FFmpegError, OSError) as error:
                errors.record(error)
                return
        counter = count()
        entry: int | None = None  # the key frame after a skip, until the decoder has returned it
        for packet in _with_flush(packets_of(container, stream)):
            step = plan.next_step(packet) if plan is not None and packet is not None else _Step.DECODE
            if step is _Step.SKIP:
                continue
            if step is _Step.REENTER and packet is not None:
                yield from _with_pts(_decode_packet(codec, None, errors), timeline, counter)
                codec.flush_buffers()
                entry = packet.pts
            if times is not None and packet is not None:
                codec.skip_frame = "DEFAULT" if packet.pts in times else "NONREF"
            for pts, frame in _with_pts(_decode_packet(codec, packet, errors), timeline, counter):
                if entry is not None and pts >= entry:
                    if pts > entry:
                        raise _UncleanEntry(entry)
                    entry = None
                yield pts, frame
            if plan is not None and plan.done:
                yield from _with_pts(_decode_packet(codec, None, errors), timeline, counter)
                return


class _Step(Enum):
    """What to do with a packet."""

    DECODE = auto()
    SKIP = auto()
    REENTER = auto()
    """Decode it after a skip: the decoder must be flushed first."""


class _SkipPlan:
    """Decides which packets have to be decoded to obtain the wanted frames.

    Within a group of pictures, packets are decoded up to the last wanted frame.
    The packets after it are skipped up to the next key frame whose group
    contains a wanted frame.

    Parameters
    ----------
    keys, pts : timestamps of the key frames and of all frames, ascending
    needed : timestamps of the wanted frames, ascending, none before the first key frame
    """

    def __init__(self, keys: TimestampArray, pts: TimestampArray, needed: TimestampArray) -> None:
        self._pts = pts
        entries = keys[np.searchsorted(keys, needed, side="right") - 1]
        self._groups = deque((int(key), set(needed[entries == key].tolist())) for key in np.unique(entries))
        self._missing = self._groups.popleft()[1]
        self._skipping = False
        self._earliest: int | None = None
        self.done = False
        """Whether no wanted frame follows the last packet."""

    def next_step(self, packet: Packet[VideoStream]) -> _Step:
        """Return what to do with the next packet, in decoding order."""
        pts = packet.pts
        opens = pts is not None and packet.is_keyframe and bool(self._groups) and pts == self._groups[0][0]
        if self._skipping and not opens:
            return _Step.SKIP
        if self._earliest is not None and pts is not None and pts < self._earliest:
            return _Step.SKIP  # presented before the key frame of the reentry, so it references skipped frames
        step = _Step.DECODE
        if opens:
            self._missing |= self._groups.popleft()[1]
            if self._skipping:
                self._skipping, self._earliest, step = False, pts, _Step.REENTER
        self._missing.discard(pts)
        if self._missing:
            return step
        self.done = not self._groups
        if self._groups and pts is not None:
            between = np.searchsorted(self._pts, [pts, self._groups[0][0]])
            self._skipping = int(between[1] - between[0]) > _MIN_SKIP
        return step


def _decode_packet(
    codec: VideoCodecContext, packet: Packet[VideoStream] | None, errors: _DecodeErrors
) -> list[VideoFrame]:
    """Return the frames that the decoder outputs for `packet`; None flushes it. Errors are recorded, not raised."""
    try:
        frames = codec.decode(packet)
    except (av.error.FFmpegError, ValueError) as error:
        errors.record(error, None if packet is None else packet.pts)
        return []
    for frame in frames:
        if frame.is_corrupt:
            errors.record(None, frame.pts)
        errors.decoded += 1
    return frames


def _with_pts(frames: list[VideoFrame], timeline: Timeline, counter: Iterator[int]) -> Iterator[tuple[int, VideoFrame]]:
    """Yield (pts, frame); if the timestamps are unreliable, the frame's number takes their place."""
    for frame in frames:
        number = next(counter)
        pts = number if timeline.counted else frame.pts
        if pts is not None:
            yield pts, frame


def _with_flush(packets: Iterator[Packet[VideoStream]]) -> Iterator[Packet[VideoStream] | None]:
    """Yield the packets, and then None, which flushes a decoder."""
    yield from packets
    yield None
