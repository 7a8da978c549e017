"""The presentation timestamps and sizes of a video's frames, read from its packets without decoding them."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from common.errors import BadSource
from common.modalities.video.sampling import TimestampArray, select
from common.sources.identity import file_version
from common.sources.limits import Limits
from common.sources.local import check_file, unreadable
from common.sources.objects.file import ObjectFile
from common.sources.objects.path import ObjectPath

# Only containers that hold their frames themselves may be opened. Playlists and scripts (HLS, ffconcat, image patterns)
# refer to other files and hosts, and may hide behind any suffix.
_CONTAINERS = (
    "3gp,asf,avi,flv,gif,h264,hevc,ivf,m4v,matroska,mjpeg,mov,mp4,mpeg,mpegts,mpegvideo,mxf,obu,ogg,webm,yuv4mpegpipe"
)
# An object is read through Python; whatever a container in it names is not opened.
_NO_PROTOCOL = "none"
# Containers in which a seek finds the last key frame before a timestamp and does not change the packets' timestamps.
_SEEKABLE = frozenset(("mov", "matroska", "mpegts", "avi", "flv", "asf"))
_CACHED_TIMELINES = 32  # a worker reads chunk after chunk of the same few sources; an hour at 30 fps takes 2.6 MB
_FALLBACK_FPS = 25.0  # for a stream that does not declare its rate
_TIMELINE_VERSION = 1  # of what is kept of a timeline; increase it with any change that affects one
_ARRAYS = ("pts", "keys", "key_frames", "sizes", "order")
_MAX_DENOMINATOR = 1_000_000  # of a rate as a fraction; a header may declare a slower one


@dataclass(frozen=True, eq=False)
class Timeline:
    """Presentation timestamps of a video's frames.

    Attributes
    ----------
    pts : (n,) int64, ascending and distinct, in units of `time_base`
    keys : (k,) int64, those of the key frames at which decoding may start; it may always start at the beginning
    key_frames : (k,) int64, those of all key frames
    sizes : (n,) int64, bytes of the packet of each frame
    order : (n,) int64, position of that packet among all packets, which come in decoding order
    time_base : seconds per unit
    counted : True if the packets' timestamps are unreliable; `pts` then numbers the frames, and `keys` is empty
    """

    pts: TimestampArray
    keys: TimestampArray
    key_frames: TimestampArray
    sizes: npt.NDArray[np.int64]
    order: npt.NDArray[np.int64]
    time_base: Fraction
    counted: bool

    def seconds(self, pts: int) -> float:
        """Return the seconds between the first frame and `pts`."""
        return float((pts - int(self.pts[0])) * self.time_base)

    @property
    def duration(self) -> float:
        """Seconds from the start of the first frame to the end of the last, which is given the average duration."""
        count = len(self.pts)
        return self.seconds(int(self.pts[-1])) * count / (count - 1) if count > 1 else float(count / _FALLBACK_FPS)


@contextmanager
def open_video(path: Path, limits: Limits) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a video file and yield its container and its first video stream.

    Raises
    ------
    BadSource
        If the file cannot be read, or holds no video that can be decoded.
    """
    check_file(path, limits)
    file = path.by_ranges() if isinstance(path, ObjectPath) else None
    options = {
        "protocol_whitelist": _NO_PROTOCOL if file is not None else "file",
        "format_whitelist": _CONTAINERS,
        "max_pixels": str(limits.max_pixels),
    }
    try:
        container = _open(f"file:{path.absolute()}" if file is None else file, options)
    except PermissionError as error:
        raise unreadable(path, error) from error
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise BadSource(
            f"{path} is no video that can be read, or is cut short: check that it plays, send it again"
        ) from error
    with container:
        # Containers present a cover picture as a video stream of one frame.
        streams = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
        if not streams:
            raise BadSource(f"{path} holds no video: check that it plays, send another")
        if streams[0].codec_context is None:
            raise BadSource(f"{path} was encoded by a codec that is not known here: check that it plays, re-encode it")
        yield container, streams[0]


def _open(source: str | ObjectFile, options: dict[str, str]) -> InputContainer:
    """Open a container, in the case of MP4 without decoding the first frame, which takes 30 ms at 4K.

    Other containers, such as Matroska, need it to derive some of their packets' timestamps.
    """
    container = av.open(source, "r", options={**options, "skip_frame": "all"}, metadata_errors="replace")
    if container.format.name.startswith("mov"):
        return container
    container.close()
    if isinstance(source, ObjectFile):
        source.seek(0)
    return av.open(source, "r", options=options, metadata_errors="replace")


def stream_fps(stream: VideoStream) -> float:
    """Return the frames per second that the container declares or implies."""
    return float(stream.average_rate or stream.guessed_rate or stream.base_rate or _FALLBACK_FPS)


def read_timeline(path: Path, limits: Limits) -> Timeline:
    """Return the timeline of the video at `path`; it is cached until the file changes.

    The whole file is read: whether a packet is a key frame's stands in the packet. What was found of an object is kept
    in the cache of this host, so that whoever decodes a part of it reads that part alone.
    """
    check_file(path, limits)
    return _read(path, file_version(path), limits)


def key_seconds(path: Path, limits: Limits) -> float | None:
    """Return the median interval between key frames of the video at `path`, in seconds; None if there are too few."""
    timeline = read_timeline(path, limits)
    return float(np.median(np.diff(timeline.keys)) * timeline.time_base) if len(timeline.keys) > 1 else None


def read_sampled(path: Path, sample_fps: float | None, limits: Limits) -> TimestampArray:
    """Return the timestamps of the sampled frames of the video at `path`; cached until the file changes."""
    check_file(path, limits)
    return _sampled(path, file_version(path), sample_fps, limits)


@lru_cache(maxsize=_CACHED_TIMELINES)
def _sampled(path: Path, version: str, sample_fps: float | None, limits: Limits) -> TimestampArray:
    timeline = _read(path, version, limits)
    return select(timeline.pts, timeline.keys, timeline.time_base, sample_fps)


@lru_cache(maxsize=_CACHED_TIMELINES)
def _read(path: Path, version: str, limits: Limits) -> Timeline:
    if not isinstance(path, ObjectPath):
        return _demux(path, limits)
    name = f"timeline-{_TIMELINE_VERSION}-{av.__version__}"
    kept = path.kept(name)
    timeline = None if kept is None else _unpacked(kept)
    if timeline is None:
        timeline = _demux(path, limits)
        path.keep(name, _packed(timeline))
    return timeline


def _packed(timeline: Timeline) -> bytes:
    data = io.BytesIO()
    base = np.array([timeline.time_base.numerator, timeline.time_base.denominator, timeline.counted], np.int64)
    np.savez_compressed(data, base=base, **{name: getattr(timeline, name) for name in _ARRAYS})
    return data.getvalue()


def _unpacked(data: bytes) -> Timeline | None:
    """Return what `_packed` made; None if it is damaged."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            numerator, denominator, counted = arrays["base"].tolist()
            pts, keys, key_frames, sizes, order = (arrays[name] for name in _ARRAYS)
            return Timeline(pts, keys, key_frames, sizes, order, Fraction(numerator, denominator), bool(counted))
    # Nothing, as a crash of the machine leaves it, is an EOFError; flags that damage made up are a RuntimeError.
    except (ValueError, KeyError, OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error):
        return None


def _demux(path: Path, limits: Limits) -> Timeline:
    times: list[int] = []
    timed: list[int] = []  # numbers of the packets that `times` are of
    keys: list[int] = []
    key_numbers: list[int] = []
    sizes: list[int] = []
    last_dts = None
    with open_video(path, limits) as (container, stream):
        # AVI stores no presentation timestamps, so with reordered frames a packet's timestamp is not its frame's.
        reliable = not (container.format.name == "avi" and stream.codec_context.has_b_frames)
        for packet in packets_of(container, stream):
            if packet.is_discard:  # an edit list leaves it out
                continue
            if packet.is_keyframe:
                key_numbers.append(len(sizes))
            if packet.pts is None or (packet.dts is not None and last_dts is not None and packet.dts < last_dts):
                # Timestamps are missing or jump back: sorted by them, the frames would not be in presentation order.
                reliable = False
            else:
                times.append(packet.pts)
                timed.append(len(sizes))
                if packet.is_keyframe:
                    keys.append(packet.pts)
            sizes.append(packet.size)
            last_dts = packet.dts if packet.dts is not None else last_dts
        time_base = stream.time_base or Fraction(1, 1000)
        fps = stream_fps(stream)
        seekable = container.format.name.split(",")[0] in _SEEKABLE
    if reliable:
        pts, first = np.unique(np.array(times, np.int64), return_index=True)
        key_frames = np.unique(np.array(keys, np.int64))
        order = np.array(timed, np.int64)[first]
        starts = key_frames if seekable else key_frames[:0]
        return Timeline(pts, starts, key_frames, np.array(sizes, np.int64)[order], order, time_base, False)
    counted = np.arange(len(sizes), dtype=np.int64)
    tick = 1 / max(Fraction(fps).limit_denominator(_MAX_DENOMINATOR), Fraction(1, _MAX_DENOMINATOR))
    key_frames = np.array(key_numbers, np.int64)
    return Timeline(counted, counted[:0], key_frames, np.array(sizes, np.int64), counted, tick, True)


def packets_of(container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    """Yield the stream's packets up to the end of the file, or to the first unreadable place."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.error.FFmpegError, OSError):
            return
        except IndexError:  # damage made up a stream, which PyAV does not know; reading goes on behind that packet
            packets = container.demux(stream)
            continue
        if packet.size:
            yield packet
