"""One live camera: a thread that connects, stores what comes in segments, and connects again when it ends."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from common.contracts.cameras import CameraState
from common.errors import SentinelError
from common.settings import Settings
from common.sources.cameras import camera_address, shown_url
from common.stream_tables import StreamTable
from producers.cameras.connection import Connection, connect
from producers.cameras.packets import Repeats, picture_format, whole_pictures
from producers.cameras.segments import Segment, Segmenter, folder_name

log = logging.getLogger(__name__)

_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 60.0
_JITTER = 0.5  # of a pause, more or less: cameras behind one switch do not all come back in the same moment
_START_SPREAD_SECONDS = 3.0  # likewise for the first connections
_BYTES_PER_MB = 1_000_000
_SEGMENTS_OF_SPOOL = 20  # no segment takes more than such a part of the spool
_SOUND_SECONDS = 10.0  # a camera that changes its pictures sooner than this waits like one that ends
_MOST_LINES, _LINES_SECONDS = 6, 60.0  # of the log about one camera, which decides how often there is something to say
_CLOCK_OFF_SECONDS = 5.0  # by which a camera's clock may differ from ours without a word


@dataclass(frozen=True)
class Camera:
    """A stream with the camera that it is fetched from."""

    stream: str
    url: str
    user: str | None
    password_env: str | None
    password_file: str | None
    keys_only: bool

    @classmethod
    def of_table(cls, stream: str, table: StreamTable) -> Camera:
        """Return the camera of a table that has a `url`."""
        assert table.url is not None
        return cls(
            stream, table.url, table.user, table.password_env, table.password_file, keys_only=table.sample == "key"
        )


class _OtherPictures(Exception):
    """The camera goes over to pictures of another size or codec within a connection: it is opened anew."""


class Reader:
    """Reads `camera` in a thread of its own from `start` until `stop`.

    Parameters
    ----------
    settings : lengths, waits, and where the spool is
    done : is given each segment that is whole, in that thread
    """

    def __init__(self, camera: Camera, settings: Settings, done: Callable[[Segment], None]) -> None:
        self.camera = camera
        self._settings = settings
        self._done = done
        self._folder: Path = settings.live_dir / folder_name(camera.stream)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"camera {camera.stream}", daemon=True)
        self._repeats = Repeats()
        self._ended = 0.0  # until when footage was stored, seconds since the epoch
        self._state = CameraState(stream=camera.stream, url=shown_url(camera.url))
        self._counts: Counter[str] = Counter()
        self._lines: list[float] = []  # when something was logged, on the monotonic clock

    @property
    def state(self) -> CameraState:
        """How the connection does."""
        return self._state.model_copy(update=dict(self._counts))

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end; `join` waits for that."""
        self._stop.set()

    def join(self, seconds: float) -> None:
        """Wait until it has ended. One that waits for its camera ends with the process: its footage is stored."""
        self._thread.join(seconds)

    def _run(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        self._stop.wait(random.uniform(0, _START_SPREAD_SECONDS))
        while not self._stop.is_set():
            before, began = self._counts["segments"], time.monotonic()
            try:
                self._follow()
                self._lost("it ended the connection")
            except _OtherPictures:
                self._say(logging.WARNING, "the camera changed its pictures, it is opened anew")
                if self._counts["segments"] > before and time.monotonic() - began > _SOUND_SECONDS:
                    continue
            except SentinelError as error:
                self._lost(str(error))
            except Exception as error:  # a packet or a header that nobody thought of stops no other camera
                log.exception("stream %s: reading the camera failed", self.camera.stream)
                self._lost(f"reading it failed ({type(error).__name__}), see the log")
            if self._counts["segments"] > before:
                pause = _FIRST_PAUSE_SECONDS
            self._stop.wait(pause * random.uniform(1 - _JITTER, 1 + _JITTER))
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _follow(self) -> None:
        """Store what one connection brings."""
        table = self.camera
        address = camera_address(table.url, table.user, table.password_env, table.password_file)
        with connect(address, self._settings.camera_seconds) as connection:
            self._connected(connection)
            segmenter = Segmenter(
                table.stream,
                self._folder,
                connection.stream,
                seconds=self._settings.segment_seconds,
                keys_only=table.keys_only,
                most_bytes=self._settings.spool_mb * _BYTES_PER_MB // _SEGMENTS_OF_SPOOL,
                not_before=self._ended,
                done=self._hand_on,
            )
            try:
                self._store(connection, segmenter)
            finally:
                segmenter.finish()
                self._ended = segmenter.ended
                self._counts["dropped"] += segmenter.dropped

    def _store(self, connection: Connection, segmenter: Segmenter) -> None:
        codec = connection.stream.codec_context.name
        made_as, again = b"", False
        self._repeats.reconnected()
        for packet in whole_pictures(connection.packets()):
            if packet.is_keyframe:
                found = picture_format(packet, codec)
                if found and made_as and found != made_as:
                    raise _OtherPictures
                made_as = made_as or found
                again = self._repeats.is_again(packet)
                self._watch_clock(connection, packet.pts or 0)
            if again:
                self._counts["repeated"] += 1
                continue
            self._counts["packets"] += 1
            self._counts["received"] += packet.size
            segmenter.add(packet, time.time())
            if self._stop.is_set():
                return

    def _hand_on(self, segment: Segment) -> None:
        self._counts["segments"] += 1
        self._done(segment)

    def _connected(self, connection: Connection) -> None:
        context = connection.stream.codec_context
        now = time.time()
        self._say(logging.INFO, f"connected to {self._state.url}, {context.name} {context.width}x{context.height}")
        self._state = self._state.model_copy(
            update={
                "connected": True, "since": now, "why": "", "codec": context.name, "width": context.width,
                "height": context.height,
            }
        )  # fmt: skip
        self._counts["connections"] += 1

    def _lost(self, why: str) -> None:
        if self._stop.is_set():
            return
        if self._state.connected or self._state.why != why:
            self._say(logging.WARNING, why)
        since = time.time() if self._state.connected or not self._state.since else self._state.since
        self._state = self._state.model_copy(update={"connected": False, "since": since, "why": why})

    def _say(self, level: int, text: str) -> None:
        """Log a line about the camera, a few in a minute: its state has the latest."""
        now = time.monotonic()
        self._lines = [at for at in self._lines if at > now - _LINES_SECONDS]
        if len(self._lines) < _MOST_LINES:
            self._lines.append(now)
            log.log(level, "stream %s: %s", self.camera.stream, text)

    def _watch_clock(self, connection: Connection, pts: int) -> None:
        """Say once that the camera's clock is off: its frames carry our time, and its own overlay another."""
        theirs = connection.camera_time(pts)
        if theirs is None:
            return
        before, off = self._state.clock_offset, theirs - time.time()
        self._state = self._state.model_copy(update={"clock_offset": off})
        if abs(off) > _CLOCK_OFF_SECONDS and (before is None or abs(before) <= _CLOCK_OFF_SECONDS):
            self._say(logging.WARNING, f"the camera's clock differs from ours by {off:.0f} s; frames carry ours")
