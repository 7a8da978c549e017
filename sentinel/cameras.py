"""Looking at a live camera before or while it is fetched: what it sends, and what it would cost."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from common.contracts.ids import Message
from common.errors import CameraUnavailable
from common.modalities.video.timeline import open_video, read_timeline
from common.sandbox import Sandbox
from common.settings import Settings
from common.small_pictures import encode_jpeg
from common.sources.cameras import CameraAddress
from common.sources.limits import Limits
from producers.cameras.connection import Connection, connect
from producers.cameras.packets import whole_pictures
from producers.cameras.segments import Segment, Segmenter

_LOOK_SECONDS = 6.0  # of footage, so that its rate is known
_FEWEST_KEYS = 3  # so that their interval is known
_LONGEST_LOOK_SECONDS = 25.0  # some cameras send a key frame every ten seconds
_MOST_BYTES = 500_000_000
_MEASURE_SECONDS = 60.0
_SECONDS_PER_DAY = 86_400.0
_BYTES_PER_MB = 1_000_000


class Probe(Message):
    """What a camera sends."""

    stream: str
    url: str = Field(description="without user, password and query")
    codec: str
    width: int
    height: int
    fps: float = Field(description="frames per second")
    key_seconds: float | None = Field(description="seconds from one key frame to the next; None: only one came")
    bytes_per_second: float
    clock_offset: float | None = Field(description="by which its clock is ahead of ours, seconds; None: untold")
    core_share: float = Field(description="of one core that decoding all of its frames takes here")
    key_core_share: float = Field(description="the same for its key frames alone")

    def spool_hours(self, spool_mb: int, cameras: int) -> float:
        """Return how long the spool holds its footage, hours, beside other cameras that send as much.

        Parameters
        ----------
        cameras : all that share the spool, this one included
        """
        return spool_mb * _BYTES_PER_MB / (self.bytes_per_second * cameras) / 3600

    @property
    def gigabytes_per_day(self) -> float:
        return self.bytes_per_second * _SECONDS_PER_DAY / 1e9


@dataclass(frozen=True)
class Measured:
    """What decoding a piece of footage shows: the first picture as a JPEG, and seconds of computing."""

    jpeg: bytes
    decode_seconds: float
    key_decode_seconds: float


def probe(stream: str, address: CameraAddress, settings: Settings) -> tuple[Probe, bytes]:
    """Look at a camera for a few seconds; return what it sends, and one picture as a JPEG.

    Raises
    ------
    CameraUnavailable
        If it cannot be reached, refuses, or sends nothing that can be decoded.
    BadSource
        If what it sends cannot be decoded.
    """
    with tempfile.TemporaryDirectory(prefix="sentinel-probe-") as folder:
        with connect(address, settings.camera_seconds) as connection:
            context = connection.stream.codec_context
            segment, offset = _record(stream, connection, Path(folder))
            codec, width, height = context.name, context.width, context.height
        limits = Limits.from_settings(settings)
        timeline = read_timeline(segment.path, limits)
        with Sandbox(timeout=_MEASURE_SECONDS, memory_mb=settings.max_memory_mb) as sandbox:
            found = sandbox.call(measure, segment.path, limits, subject=address.shown)
    seconds, keys = timeline.duration, timeline.key_frames
    return Probe(
        stream=stream,
        url=address.shown,
        codec=codec,
        width=width,
        height=height,
        fps=len(timeline.pts) / seconds,
        key_seconds=float((keys[-1] - keys[0]) * timeline.time_base) / (len(keys) - 1) if len(keys) > 1 else None,
        bytes_per_second=int(timeline.sizes.sum()) / seconds,
        clock_offset=offset,
        core_share=found.decode_seconds / seconds,
        key_core_share=found.key_decode_seconds / seconds,
    ), found.jpeg


def _record(stream: str, connection: Connection, folder: Path) -> tuple[Segment, float | None]:
    """Store a piece of what comes; return it, and by how much the camera's clock is ahead of ours."""
    found: list[Segment] = []
    segmenter = Segmenter(
        stream, folder, connection.stream, seconds=_LONGEST_LOOK_SECONDS, keys_only=False, not_before=0.0,
        most_bytes=_MOST_BYTES, done=found.append,
    )  # fmt: skip
    began, keys, first_key, offset = time.monotonic(), 0, 0.0, None
    for packet in whole_pictures(connection.packets()):
        now = time.monotonic()
        theirs = connection.camera_time(packet.pts or 0)
        offset = theirs - time.time() if theirs is not None else offset
        segmenter.add(packet, time.time())
        if packet.is_keyframe:
            keys, first_key = keys + 1, first_key or now
        enough = keys >= _FEWEST_KEYS and now - first_key >= _LOOK_SECONDS
        if enough or now - began > _LONGEST_LOOK_SECONDS:
            break
    segmenter.finish()
    if not found:
        raise CameraUnavailable(f"no key frame came within {_LONGEST_LOOK_SECONDS:g} s: let it send one more often")
    return found[0], offset


def measure(path: Path, limits: Limits) -> Measured:
    """Decode a file twice, all of it and its key frames, and return how long that takes. Runs in the sandbox."""
    jpeg, all_seconds = _decode(path, limits, "DEFAULT")
    _, key_seconds = _decode(path, limits, "NONKEY")
    return Measured(jpeg, all_seconds, key_seconds)


def _decode(path: Path, limits: Limits, skip: Literal["DEFAULT", "NONKEY"]) -> tuple[bytes, float]:
    jpeg = b""
    with open_video(path, limits) as (container, stream):
        stream.codec_context.thread_count = 1
        stream.codec_context.skip_frame = skip
        began = time.process_time()
        for frame in container.decode(stream):
            jpeg = jpeg or encode_jpeg(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)) or b""
        return jpeg, time.process_time() - began
