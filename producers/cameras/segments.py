"""From a camera's packets to short MP4 files: copied, not encoded anew, each beginning with a key frame.

A file appears under its name, the time when its first frame was taken, once it is whole.
"""

from __future__ import annotations

import errno
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import av
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from common.contracts.ids import content_id
from common.errors import CameraUnavailable, SettingsError
from producers.cameras.clock import ArrivalClock

SUFFIX = ".mp4"
UNFINISHED = ".unfinished"  # hidden: nothing that looks for footage takes it
_LONGEST_SEGMENTS = 6  # times the length of a segment: without a key frame for so long it ends all the same
_JUMP_SECONDS = 5.0  # of timestamps from one packet to the next, beyond what the packets took to come
_ROUNDED_SECONDS = 0.1
_SHORTEST_SECONDS = 0.001  # of a segment of one frame, so that the next one has another name
_DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO, errno.ENOENT})
_NAME = "%Y-%m-%dT%H-%M-%S.%fZ"


@dataclass(frozen=True)
class Segment:
    """One file of the spool.

    Attributes
    ----------
    stream : name of its stream
    path : the file
    began : when its first frame was taken, seconds since the epoch
    size : bytes
    """

    stream: str
    path: Path
    began: float
    size: int


def segment_at(stream: str, path: Path) -> Segment | None:
    """Return the segment that the file at `path` is by its name; None if it is none."""
    try:
        began = datetime.strptime(path.name.removesuffix(SUFFIX), _NAME).replace(tzinfo=UTC).timestamp()
        return Segment(stream, path, began, path.stat().st_size)
    except (ValueError, OSError):
        return None


def folder_name(stream: str) -> str:
    """Return the name of a stream's folder in the spool; that of the stream may be none that a folder can have."""
    return content_id("spool", stream)


class Segmenter:
    """Writes the packets of one connection into segments.

    Parameters
    ----------
    stream : name of the stream
    folder : where its segments go
    source : FFmpeg's stream, for its codec
    seconds : length of a segment; it goes on to the next key frame
    keys_only : whether only key frames are stored
    most_bytes : of a segment; one that is larger ends before its time, and the next begins with a key frame
    not_before : segments begin no earlier, seconds since the epoch: the end of what the connection before brought
    done : is given each segment that is whole
    """

    def __init__(
        self,
        stream: str,
        folder: Path,
        source: VideoStream,
        *,
        seconds: float,
        keys_only: bool,
        most_bytes: int,
        not_before: float,
        done: Callable[[Segment], None],
    ) -> None:
        self._stream, self._folder, self._source = stream, folder, source
        self._seconds, self._keys_only, self._done = seconds, keys_only, done
        self._most_bytes, self._bytes = most_bytes, 0
        # A name of its own: the connection before may not have ended yet.
        self._unfinished = folder / f"{UNFINISHED}-{secrets.token_hex(4)}{SUFFIX}"
        self._tick = float(source.time_base or 1 / 90_000)
        self._reordered = bool(source.codec_context.has_b_frames)
        self._clock = ArrivalClock()
        self._output: OutputContainer | None = None
        self._target: VideoStream | None = None
        self._key = self._base = self._last = 0  # timestamps: of the key frame, of the file's zero, of the last packet
        self._arrived = 0.0
        self._span = 0.0  # seconds from the first frame to the last
        self._written = -1
        self.ended = not_before
        self.dropped = 0  # packets that belong to no key frame

    def add(self, packet: Packet[VideoStream], arrived: float) -> None:
        """Take the next packet, which came at `arrived`, seconds since the epoch.

        Raises
        ------
        SettingsError
            If the disk cannot be written.
        CameraUnavailable
            If the packet cannot be stored.
        """
        with self._explained():
            self._add(packet, arrived)

    def _add(self, packet: Packet[VideoStream], arrived: float) -> None:
        dts = packet.dts if packet.dts is not None else packet.pts
        if packet.pts is None or dts is None or (packet.dts is None and self._reordered):
            self.dropped += 1
            return
        if self._arrived and self._jumps(dts, arrived):
            self._finish()
            self._clock = ArrivalClock()
        self._clock.note(packet.pts * self._tick, arrived)
        if packet.is_keyframe and (self._output is None or self._is_full(packet.pts)):
            self._finish()
            self._begin(packet.pts, dts)
        self._last, self._arrived = dts, arrived
        if self._output is None or packet.pts < self._key:  # pictures that lean on the group before
            self.dropped += 1
            return
        if (packet.pts - self._key) * self._tick > _LONGEST_SEGMENTS * self._seconds or self._bytes > self._most_bytes:
            self._finish()
            return
        if packet.is_keyframe or not self._keys_only:
            self._write(packet, dts)

    def finish(self) -> None:
        """End the segment that is being written, if there is one, and hand it on; errors as `add` raises them."""
        with self._explained():
            self._finish()

    def _finish(self) -> None:
        if self._output is None:
            return
        self._output.close()
        self._output = None
        began = max(self._clock.time_of(self._key * self._tick), self.ended)
        self.ended = began + max(self._span, _SHORTEST_SECONDS)
        name = datetime.fromtimestamp(began, UTC).strftime(_NAME)
        path = self._unfinished.replace(self._folder / f"{name}{SUFFIX}")
        segment = segment_at(self._stream, path)
        assert segment is not None
        self._done(segment)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (av.error.FFmpegError, OSError, ValueError) as error:
            self._abandon()
            number, why = getattr(error, "errno", None), getattr(error, "strerror", None) or str(error)
            if number in _DISK_ERRORS:
                raise SettingsError(
                    f"{self._folder} cannot be written ({why}): make room or correct SENTINEL_STATE_DIR; "
                    "SENTINEL_SPOOL_MB says how much what live cameras send may take"
                ) from error
            raise CameraUnavailable(f"its packets cannot be stored ({why})") from error

    def _abandon(self) -> None:
        """Close and remove the file that is being written, as far as the disk lets us."""
        output, self._output = self._output, None
        with suppress(av.error.FFmpegError, OSError, ValueError):
            if output is not None:
                output.close()
        with suppress(OSError):
            self._unfinished.unlink(missing_ok=True)

    def _jumps(self, dts: int, arrived: float) -> bool:
        step = (dts - self._last) * self._tick
        return step < 0 or step > _JUMP_SECONDS + max(0.0, arrived - self._arrived)

    def _is_full(self, pts: int) -> bool:
        # A little short is full: of key frames every five seconds two make ten, though their times are rounded.
        return (pts - self._key) * self._tick > self._seconds - _ROUNDED_SECONDS

    def _begin(self, pts: int, dts: int) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._output = av.open(str(self._unfinished), "w", format="mp4")
        self._target = self._output.add_stream_from_template(self._source)
        self._key, self._base, self._written, self._span, self._bytes = pts, dts, -1, 0.0, 0

    def _write(self, packet: Packet[VideoStream], dts: int) -> None:
        assert self._output is not None and self._target is not None and packet.pts is not None
        at = max(dts - self._base, self._written + 1)
        pts = packet.pts - self._base
        packet.dts, packet.pts, packet.stream = at, max(pts, at), self._target
        packet.time_base = self._source.time_base  # type: ignore[assignment]
        self._written, self._bytes = at, self._bytes + packet.size
        self._span = max(self._span, (pts - self._key + self._base) * self._tick)
        self._output.mux(packet)
