"""Clips for benchmarks: those of a folder, the same footage as cameras of other sizes would send it, and copies."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.stream import VideoStream

from common.contracts.batches import SourceKind
from common.features import Image
from common.modalities.video.decode import probe, sampled_frames
from common.sources.limits import Limits
from simulation.virtual_camera import record

SIZES = {720: (1280, 720), 1080: (1920, 1080), 2160: (3840, 2160)}
VIDEO_SUFFIXES = {".mp4", ".mkv", ".avi", ".mov", ".webm", ".m4v"}
_SPEED_SUFFIXES = {".mp4", ".mkv", ".mov", ".m4v"}  # what `repeated` can join without re-encoding
_NOISE = 3  # grey levels, up or down: sensor noise, which makes footage realistically hard to encode


def clips_below(folder: Path) -> list[Path]:
    """Return the video files in a folder and below."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)


def drop(clip: Path, folder: Path, number: int) -> None:
    """Put a copy of `clip` into a stream's folder, with an appended MP4 box that makes its content unique."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{number:05d}{clip.suffix}"
    staging = target.with_name(f".{target.name}.part")
    shutil.copyfile(clip, staging)
    note = f"take {number}".encode()
    with staging.open("ab") as file:
        file.write(struct.pack(">I4s", 8 + len(note), b"free") + note)
    staging.rename(target)


def largest_clip(data: Path | None, folder: Path) -> Path:
    """Return the clip with the highest frames below `data`; without `data`, record the virtual camera in `folder`."""
    if data is None:
        recording = folder / "virtual.mp4"
        # Of none of the measured sizes, so that `as_camera` re-encodes it: recordings of the virtual camera are far
        # less compressed than those of a real one, and take several times as long to decode.
        record(recording, seconds=10, fps=30.0, width=960, height=540)
        return recording
    clips = sorted(path for path in data.rglob("*") if path.suffix.lower() in _SPEED_SUFFIXES)
    if not clips:
        raise SystemExit(f"{data} holds no video ({' '.join(sorted(_SPEED_SUFFIXES))}): name a folder with clips")
    return max(clips, key=lambda path: probe(path, SourceKind.RECORDING, Limits()).height)


def as_camera(source: Path, target: Path, height: int, *, frames: int, fps: int = 30, gop: int = 30) -> Path:
    """Encode footage of `source` as a camera of `height` lines would, and return `target`.

    The result is H.264 without B-frames, with a key frame every `gop` frames. The
    footage is repeated until there are `frames` frames.
    """
    width, lines = SIZES[height]
    rng = np.random.default_rng(0)
    grain = rng.integers(-_NOISE, _NOISE + 1, (lines + 64, width + 64, 1), dtype=np.int16)
    with av.open(str(target), "w") as container:
        options = {"preset": "veryfast", "crf": "26", "g": str(gop), "bf": "0", "sc_threshold": "0"}
        stream = container.add_stream("libx264", rate=fps, options=options)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, lines, "yuv420p"
        for image in islice(_repeated_frames(source), frames):
            large = cv2.resize(image, (width, lines), interpolation=cv2.INTER_CUBIC).astype(np.int16)
            down, across = rng.integers(0, 64, 2)
            noisy = np.clip(large + grain[down : down + lines, across : across + width], 0, 255).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noisy, format="rgb24")))
        container.mux(stream.encode(None))
    return target


def repeated(source: Path, target: Path, times: int) -> Path:
    """Join `times` copies of an MP4 file without re-encoding, and return `target`."""
    with av.open(str(source)) as whole, av.open(str(target), "w") as container:
        stream = whole.streams.video[0]
        copy = container.add_stream_from_template(stream)
        packets = [packet for packet in whole.demux(stream) if packet.dts is not None]
        contents = [(bytes(p), p.pts or 0, p.dts or 0, p.is_keyframe, p.duration or 1) for p in packets]
        length = sum(content[4] for content in contents)
        for turn in range(times):
            for data, pts, dts, key, duration in contents:
                packet = av.Packet(data)
                packet.pts, packet.dts, packet.duration = pts + turn * length, dts + turn * length, duration
                packet.is_keyframe, packet.stream = key, copy
                if stream.time_base is not None:
                    packet.time_base = stream.time_base
                container.mux(packet)
    return target


def _repeated_frames(source: Path) -> Iterator[Image]:
    while True:
        for frame in sampled_frames(source, SourceKind.RECORDING, sample_fps=None, start=0, stop=None, limits=Limits()):
            yield frame.image
