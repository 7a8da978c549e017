"""The demo's footage: from the virtual camera, or cut from a video of the user's."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from common.contracts.batches import SourceKind
from common.errors import BadSource
from common.modalities.video.decode import probe, sampled_frames
from common.modalities.video.encode import write_video
from common.sources.local import Limits
from simulation.saboteur import Fault, sabotage
from simulation.virtual_camera import record

FAULTS = (Fault.NOISE, Fault.BLUR, Fault.LOW_LIGHT)
_SEVERITY = 4  # gross enough for a person to see it in the kept footage
_GOLDEN_SECONDS = 40.0
_CLIP_SECONDS = 12.0
_FPS = 10.0
_MOST_GOLDEN, _MOST_CLEAN = 400, 160  # frames of a user's video: the demo shows the way, it judges no archive


@dataclass(frozen=True)
class Footage:
    """What the story needs. `again` are the sabotaged clips once more, in files that are not copies."""

    golden: Path
    clean: Path
    sabotaged: tuple[Path, ...]
    again: tuple[Path, ...]
    origin: str


def prepare(folder: Path, video: Path | None, say: Callable[[str], None]) -> Footage:
    """Make all clips in `folder`, from `video` or from the virtual camera; `say` shows what is being made."""
    folder.mkdir(parents=True, exist_ok=True)
    golden, clean = folder / "golden.mp4", folder / "clean.mp4"
    say(f"    {'virtual camera' if video is None else video.name}: golden and clean")
    if video is None:
        record(golden, seconds=_GOLDEN_SECONDS, fps=_FPS, seed=1)
        record(clean, seconds=_CLIP_SECONDS, fps=_FPS, seed=2)
        origin = "from a virtual camera moving over photographs"
    else:
        _halve(video, golden, clean)
        origin = f"cut from {video.name}"
    sabotaged, again = [], []
    for fault in FAULTS:
        say(f"    sabotage: {fault.value}, severity {_SEVERITY}")
        first, second = folder / f"{fault.value}.mp4", folder / f"{fault.value}-again.mp4"
        # The same frames under another title: a byte-for-byte copy would be recognised and not counted twice.
        sabotage(clean, first, fault, _SEVERITY, seed=0, title="first time")
        sabotage(clean, second, fault, _SEVERITY, seed=0, title="again")
        sabotaged.append(first)
        again.append(second)
    return Footage(golden, clean, tuple(sabotaged), tuple(again), origin)


def _halve(video: Path, golden: Path, clean: Path) -> None:
    """Write the first half of `video` to `golden` and the second to `clean`."""
    limits = Limits()
    info = probe(video, SourceKind.VIDEO, limits)
    half = int(info.duration * info.fps / 2)
    if half < 1:
        raise BadSource(f"{video} is too short to be halved: use one of a minute or so")
    frames = (
        f.image for f in sampled_frames(video, SourceKind.VIDEO, sample_fps=None, start=0, stop=None, limits=limits)
    )
    write_video(golden, islice(frames, min(half, _MOST_GOLDEN)), info.fps)
    write_video(clean, islice(frames, max(0, half - _MOST_GOLDEN), max(0, half - _MOST_GOLDEN) + _MOST_CLEAN), info.fps)


def drop(clip: Path, stream_dir: Path) -> Path:
    """Put `clip` into a stream's folder as an upload does: under a temporary name, then renamed."""
    stream_dir.mkdir(parents=True, exist_ok=True)
    target = stream_dir / clip.name
    staging = stream_dir / f".{clip.name}.part"
    shutil.copyfile(clip, staging)
    staging.rename(target)
    return target.resolve()
