"""The demo's footage: from the virtual camera, or cut from a video of the user's."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from common.contracts.batches import SourceKind
from common.errors import BadSource
from common.modalities.video.decode import probe, sampled_frames
from common.modalities.video.encode import write_video
from common.sources.limits import Limits
from simulation.faults import Fault, sabotage_frames
from simulation.virtual_camera import record

HEALED = (Fault.NOISE,)
"""Faults that the policy trains on."""
CALLED = Fault.COVERED
"""A fault that the policy never trains on: a person is called."""
# The same frames under another title: a byte-for-byte copy would be recognised and not counted twice.
_FIRST, _AGAIN = "first", "again"
_DRIFTED = tuple((fault, title) for title in (_FIRST, _AGAIN) for fault in (*HEALED, CALLED))
_SEVERITY = {Fault.NOISE: 4, Fault.COVERED: 3}  # gross enough to be seen in the kept footage
_GOLDEN_SECONDS = 32.0
_CLIP_SECONDS = 12.0
_DRIFTED_SECONDS = 27.0  # enough frame triplets to train on, and 120 and more later ones for the gate to be sure
_FPS = 20.0  # with fewer, so much moves between frames that single triplets decide whether a model is promoted
_WIDTH, _HEIGHT = 480, 270  # pixels
SAMPLE_FPS = 10.0
"""Frames per second of the virtual camera that are judged: a window then shows most of its scenes."""
_MOST_GOLDEN, _MOST_CLEAN = 400, 260  # frames of a user's video: the demo shows the way, it judges no archive


@dataclass(frozen=True)
class Footage:
    """What the story needs; the clips of one fault differ, though they show the same.

    Attributes
    ----------
    golden, clean : without a fault
    healed, healed_again : a clip for each fault of `HEALED`; the second ones are of other footage
    called, called_again : with the fault `CALLED`
    elsewhere : a clip with the first fault of `HEALED`, for another stream
    origin : where the footage is from
    """

    golden: Path
    clean: Path
    healed: tuple[Path, ...]
    healed_again: tuple[Path, ...]
    called: Path
    called_again: Path
    elsewhere: Path
    origin: str


def prepare(folder: Path, video: Path | None, say: Callable[[str], None]) -> Footage:
    """Make all clips in `folder`, from `video` or from the virtual camera; `say` shows what is being made."""
    folder.mkdir(parents=True, exist_ok=True)
    golden, clean, longer = folder / "golden.mp4", folder / "clean.mp4", folder / "longer.mp4"
    say(f"    {'virtual camera' if video is None else video.name}: golden and clean")
    if video is None:
        clips = ((longer, _DRIFTED_SECONDS, 3), (golden, _GOLDEN_SECONDS, 1), (clean, _CLIP_SECONDS, 2))
        film = partial(record, fps=_FPS, width=_WIDTH, height=_HEIGHT)
        _at_once([partial(film, clip, seconds=seconds, seed=seed) for clip, seconds, seed in clips])
        origin = "from a virtual camera moving over photographs"
    else:
        _halve(video, golden, longer)
        shutil.copyfile(longer, clean)
        origin = f"cut from {video.name}"

    drifted = {(fault, title): folder / f"{fault.value}-{title}.mp4" for fault, title in _DRIFTED}
    say("    sabotage: " + ", ".join(f"{fault.value} (severity {_SEVERITY[fault]})" for fault in (*HEALED, CALLED)))
    _at_once(
        [
            partial(_sabotage, longer if fault in HEALED and title == _FIRST else clean, clip, fault, title)
            for (fault, title), clip in drifted.items()
        ]
    )
    again = tuple(drifted[fault, _AGAIN] for fault in HEALED)
    return Footage(
        golden=golden,
        clean=clean,
        healed=tuple(drifted[fault, _FIRST] for fault in HEALED),
        healed_again=again,
        called=drifted[CALLED, _FIRST],
        called_again=drifted[CALLED, _AGAIN],
        elsewhere=again[0],
        origin=origin,
    )


def _at_once(jobs: Sequence[Callable[[], None]]) -> None:
    """Do the jobs side by side, as many as there are cores; OpenCV and the encoder work without Python's lock."""
    with ThreadPoolExecutor(min(len(jobs), os.cpu_count() or 1)) as pool:
        for job in [pool.submit(job) for job in jobs]:
            job.result()


def _sabotage(source: Path, target: Path, fault: Fault, title: str) -> None:
    limits = Limits()
    frames = sampled_frames(source, SourceKind.RECORDING, sample_fps=None, start=0, stop=None, limits=limits)
    images = sabotage_frames((frame.image for frame in frames), fault, _SEVERITY[fault], 0)
    write_video(target, images, probe(source, SourceKind.RECORDING, limits).fps, title=title)


def _halve(video: Path, golden: Path, clean: Path) -> None:
    """Write the first half of `video` to `golden` and the second to `clean`."""
    limits = Limits()
    info = probe(video, SourceKind.RECORDING, limits)
    half = int(info.duration * info.fps / 2)
    if half < 1:
        raise BadSource(f"{video} is too short to be halved: use one of a minute or so")
    frames = (
        f.image for f in sampled_frames(video, SourceKind.RECORDING, sample_fps=None, start=0, stop=None, limits=limits)
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
