"""Footage that two versions are compared on: of each clip a golden part and a later one, clean and sabotaged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from benchmarks.clips import VIDEO_SUFFIXES, clips_below
from common.contracts.batches import SourceKind
from common.features import Image
from common.modalities.video.decode import probe, sampled_frames
from common.modalities.video.encode import write_video
from common.sources.limits import Limits
from simulation.faults import Fault
from simulation.saboteur import sabotage
from simulation.virtual_camera import record

WINDOW_FRAMES = 24
_GOLDEN_FRAMES, _CLIP_FRAMES = 144, 96  # at most: six windows to calibrate on, four to judge
_FPS, _SIZES = 10.0, ((640, 360), (320, 180))
_SEED = 7  # of the saboteur


@dataclass(frozen=True)
class Shot:
    """Footage of one camera.

    Attributes
    ----------
    golden : what a baseline is built from
    clips : `clean` and one for each fault
    small : one window's worth of the clean clip
    """

    name: str
    golden: Path
    clips: dict[str, Path]
    small: Path


def prepare(data: Path | None, folder: Path, faults: Sequence[Fault], severity: int, most: int) -> list[Shot]:
    """Make the shots of up to `most` clips below `data`, the smallest files first; None: the virtual camera's."""
    if data is None:
        return [_virtual(folder / f"virtual{i}", i, faults, severity) for i in range(min(most, len(_SIZES)))]
    found = clips_below(data)
    if not found:
        raise SystemExit(f"{data} holds no video ({' '.join(sorted(VIDEO_SUFFIXES))}): name a folder with clips")
    chosen = sorted(found, key=lambda path: path.stat().st_size)[:most]
    return [_cut(path, folder / path.stem, faults, severity) for path in chosen]


def _virtual(folder: Path, number: int, faults: Sequence[Fault], severity: int) -> Shot:
    width, height = _SIZES[number]
    golden, clean = folder / "golden.mp4", folder / "clean.mp4"
    record(golden, seconds=_GOLDEN_FRAMES / _FPS, fps=_FPS, seed=2 * number, width=width, height=height)
    record(clean, seconds=_CLIP_FRAMES / _FPS, fps=_FPS, seed=2 * number + 1, width=width, height=height)
    return _spoilt(folder, golden, clean, _FPS, faults, severity)


def _cut(video: Path, folder: Path, faults: Sequence[Fault], severity: int) -> Shot:
    """Take the golden part from the start of the first half of `video`, the clip from that of the second."""
    info = probe(video, SourceKind.RECORDING, Limits())
    half = int(info.duration * info.fps / 2)
    golden, clean = folder / "golden.mp4", folder / "clean.mp4"
    write_video(golden, islice(_images(video, 0), min(half, _GOLDEN_FRAMES)), info.fps)
    write_video(clean, islice(_images(video, half), _CLIP_FRAMES), info.fps)
    return _spoilt(folder, golden, clean, info.fps, faults, severity)


def _spoilt(folder: Path, golden: Path, clean: Path, fps: float, faults: Sequence[Fault], severity: int) -> Shot:
    clips = {"clean": clean}
    for fault in faults:
        clips[fault.value] = folder / f"{fault.value}.mp4"
        sabotage(clean, clips[fault.value], fault, severity, seed=_SEED)
    small = folder / "small.mp4"
    write_video(small, islice(_images(clean, 0), WINDOW_FRAMES), fps)
    return Shot(folder.name, golden, clips, small)


def _images(video: Path, start: int) -> Iterator[Image]:
    frames = sampled_frames(video, SourceKind.RECORDING, sample_fps=None, start=start, stop=None, limits=Limits())
    return (frame.image for frame in frames)
