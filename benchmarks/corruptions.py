"""Faults that nothing of Sentinel was tuned on: the corruptions of ImageNet-C on clips of fixed cameras.

    python -m benchmarks.corruptions --data FOLDER[:FOLDER...] --peers .venv-peers/bin/python [--cameras NAME,NAME]

A camera is known for the first half of its clip, and left out of the table of clean drift. The first window of the
second half is judged clean, and with each corruption (Hendrycks and Dietterich, 2019; package `imagecorruptions` in the
peers' environment) at severities 1, 3 and 5. Frames are corrupted at the clip's own resolution, as a camera would send
them. Features are cached below --cache, so a second run only judges.

Each count comes with its 95% bounds (Clopper and Pearson), which take windows for independent. A cause is sensible if
`SENSIBLE` has it: what a person would call the picture, where a corruption has no cause of its own.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.clip_features import ClipFeatures, changed, open_all
from benchmarks.machine import machine
from benchmarks.rates_footage import LEVELS
from benchmarks.shares import Share, total
from benchmarks.workbench import judged
from common.contracts.verdicts import Cause, Status
from common.errors import SentinelError
from common.features import Image
from common.modalities.video.decode import Frame
from common.settings import Settings

_SCRIPT = Path(__file__).with_name("corrupt_frames.py")
_MOST_SECONDS = 3600.0  # that a corruption of one window may take
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

_NOISE = frozenset({Cause.NOISE})
_BLUR = frozenset({Cause.BLUR, Cause.LOW_CONTRAST})
_VEIL = frozenset({Cause.LOW_CONTRAST, Cause.FOG, Cause.SOILED, Cause.COVERED, Cause.OVER_EXPOSURE})
# Frost and fog are drawn anew for each frame, so light does change from frame to frame.
_UNSTEADY = frozenset({Cause.FLICKER, Cause.BANDING})
SENSIBLE: Mapping[str, frozenset[Cause]] = {
    "gaussian_noise": _NOISE,
    "shot_noise": _NOISE,
    "impulse_noise": _NOISE,
    "speckle_noise": _NOISE,
    "defocus_blur": _BLUR,
    "glass_blur": _BLUR | _NOISE,
    "motion_blur": _BLUR | {Cause.MOTION_BLUR},
    "zoom_blur": _BLUR | {Cause.MOTION_BLUR, Cause.CAMERA_MOVED},
    "gaussian_blur": _BLUR,
    "snow": _VEIL | {Cause.NOISE, Cause.NEW_CONTENT},
    "frost": _VEIL | _UNSTEADY | {Cause.NEW_CONTENT},
    "fog": _VEIL | _UNSTEADY,
    "brightness": frozenset({Cause.OVER_EXPOSURE}),
    "contrast": frozenset({Cause.LOW_CONTRAST, Cause.LOW_LIGHT}),
    "elastic_transform": _BLUR | {Cause.CAMERA_MOVED, Cause.NEW_CONTENT},
    "pixelate": frozenset({Cause.PIXELATION, Cause.COMPRESSION, Cause.BLUR}),
    "jpeg_compression": frozenset({Cause.COMPRESSION}),
    "spatter": _VEIL - {Cause.OVER_EXPOSURE} | {Cause.NOISE, Cause.BLUR, Cause.NEW_CONTENT},
    "saturate": frozenset({Cause.COLOUR_CAST, Cause.NEW_CONTENT}),
}
"""Causes that describe what each corruption does to a picture."""


@dataclass
class Found:
    """What was found on all clips.

    Attributes
    ----------
    clean : clean first windows that FAIL
    fails : by corruption and severity, first windows that FAIL
    sensible : the same, FAILs whose cause is sensible
    others : by corruption, how often each other cause was named
    by_clip : by clip and severity, windows that FAIL
    """

    clean: Share = field(default_factory=Share)
    fails: dict[tuple[str, int], Share] = field(default_factory=dict)
    sensible: dict[tuple[str, int], Share] = field(default_factory=dict)
    others: dict[str, Counter[str]] = field(default_factory=dict)
    by_clip: dict[tuple[str, int], Share] = field(default_factory=dict)


def measure(clip: ClipFeatures, names: Sequence[str], peers: Path, settings: Settings, found: Found) -> None:
    """Judge the first window of the second half of a clip, clean and with each corruption."""
    baseline = clip.known_for_half()
    window = clip.whole[clip.half : clip.half + clip.rule.frames]
    found.clean.add(judged(baseline, window, settings).status is Status.FAIL)
    first: list[Frame] = []
    for name in names:
        for severity in LEVELS:

            def corrupted(name: str = name, severity: int = severity) -> Iterator[Frame]:
                first.extend(() if first else clip.after_half())
                return changed(first, corrupt([frame.image for frame in first], name, severity, peers))

            verdict = judged(baseline, clip.of(f"{name}-{severity}", corrupted), settings)
            failed = verdict.status is Status.FAIL
            found.fails.setdefault((name, severity), Share()).add(failed)
            found.by_clip.setdefault((clip.name, severity), Share()).add(failed)
            if failed:
                sensible = verdict.cause in SENSIBLE.get(name, frozenset())
                found.sensible.setdefault((name, severity), Share()).add(sensible)
                if not sensible:
                    found.others.setdefault(name, Counter())[str(verdict.cause)] += 1


def corrupt(images: Sequence[Image], name: str, severity: int, peers: Path) -> Iterator[Image]:
    """Yield `images` with a corruption, made by a process of the peers' environment."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.npy", Path(folder) / "out.npy"
        np.save(source, np.stack(images))
        command = [str(peers), str(_SCRIPT), name, str(severity), str(source), str(target)]
        subprocess.run(command, check=True, timeout=_MOST_SECONDS, env={**os.environ, **_ONE_THREAD})
        yield from np.load(target, mmap_mode="r")


def report(found: Found, names: Sequence[str]) -> Iterator[str]:
    """Yield the lines of the tables, as Markdown."""
    yield f"clean first windows that FAIL: {found.clean}"
    yield ""
    yield "| corruption | " + " | ".join(f"severity {s} | cause sensible" for s in LEVELS) + " | other causes named |"
    yield "|---|" + "---|---|" * len(LEVELS) + "---|"
    for name in names:
        cells = [
            f"{share.hits}/{share.count}"
            for severity in LEVELS
            for shares in (found.fails, found.sensible)
            for share in (shares.get((name, severity), Share()),)
        ]
        others = ", ".join(f"{cause} {count}" for cause, count in found.others.get(name, Counter()).most_common())
        yield f"| {name} | " + " | ".join(cells) + f" | {others} |"
    sums = [
        str(total(share for (_, at), share in shares.items() if at == severity))
        for severity in LEVELS
        for shares in (found.fails, found.sensible)
    ]
    yield "| all | " + " | ".join(sums) + f" | causes of all severities: {total(found.sensible.values())} |"
    yield ""
    yield "| clip | " + " | ".join(f"severity {s}" for s in LEVELS) + " |"
    yield "|---|" + "---|" * len(LEVELS)
    for clip in dict.fromkeys(clip for clip, _ in found.by_clip):
        yield f"| {clip} | " + " | ".join(str(found.by_clip[clip, severity]) for severity in LEVELS) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folders with clips of fixed cameras, separated by colons")
    parser.add_argument("--peers", type=Path, required=True, help="a Python with requirements-peers.lock (make peers)")
    parser.add_argument("--cameras", help="names of the cameras to judge, separated by commas; all if not given")
    parser.add_argument("--cache", type=Path, default=Path(".sentinel/evaluate"))
    chosen = parser.parse_args()
    settings, found = Settings(), Found()
    listed = subprocess.run([str(chosen.peers), str(_SCRIPT)], check=True, stdout=subprocess.PIPE, text=True)
    names = listed.stdout.split()
    folders = [Path(folder) for folder in chosen.data.split(os.pathsep)]
    for clip in open_all(folders, settings, chosen.cache, _say, chosen.cameras):
        try:
            measure(clip, names, chosen.peers, settings, found)
        except SentinelError as error:
            _say(f"{clip.name} left out: {error}")
        else:
            _say(f"{clip.name} judged")
    if not found.clean.count:
        sys.exit(f"{chosen.data} holds no clip that could be judged: name folders with video files of fixed cameras")
    print(machine())
    print("\n".join(report(found, names)))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
