"""Nuisances: changes of a picture that are no fault of a camera, and must not FAIL.

    python -m benchmarks.nuisances --data FOLDER[:FOLDER...] [--cache .sentinel/evaluate]

A camera is known for the first half of its clip, and left out of the table of clean drift. The first window of the
second half is judged with each nuisance: slightly more or less light, a slightly different white balance, a shadow that
moves through, thin haze, a clock in the corner, the same footage encoded again, each frame sent twice at twice the
rate, and half the resolution. Where a baseline samples fewer frames than the camera sends, sampling leaves the second
of two equal frames out, so there that changes nothing.

Settings (SENTINEL_*) apply as usual. A clip that gives no baseline is left out. Features are cached below --cache.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.stream import VideoStream

from benchmarks.clip_features import ClipFeatures, changed, open_all
from benchmarks.machine import machine
from benchmarks.shares import Share, total
from benchmarks.workbench import judged
from common.contracts.batches import SourceKind
from common.contracts.verdicts import Judgement, Status
from common.errors import SentinelError
from common.features import Image
from common.modalities.video.decode import Frame, sampled_frames
from common.settings import Settings
from common.sources.limits import Limits

_HAZE, _HAZE_LEVEL = 0.1, 200  # share, and its grey level
_SHADOW_WIDTH, _SHADOW_GAIN = 0.25, 0.6  # share of the frame's width; of the light that is left
_CLOCK_FRAMES = 10  # in which the clock shows the same second
_CRF = (23, 28)  # quality of the encoder x264: its default, and the coarsest that surveillance commonly uses

Change = Callable[[Image, float, int], Image]
"""Image, how far the window has run (0 to 1), index of the frame -> changed image."""


def _channels(*gains: float) -> Change:
    return lambda image, _along, _index: np.clip(np.rint(image * np.array(gains)), 0, 255).astype(np.uint8)


def _shadow(image: Image, along: float, _index: int) -> Image:
    height, width = image.shape[:2]
    slant = _SHADOW_WIDTH * (np.arange(height) / height - 0.5)[:, None]
    offset = np.abs(np.arange(width) / width - along + slant)
    inside = np.clip((_SHADOW_WIDTH / 2 - offset) / (_SHADOW_WIDTH / 4), 0, 1)  # soft at both edges
    return np.asarray(np.rint(image * (1 - inside * (1 - _SHADOW_GAIN))[..., None]), np.uint8)


def _haze(image: Image, _along: float, _index: int) -> Image:
    return np.asarray(np.rint(image * (1 - _HAZE) + _HAZE_LEVEL * _HAZE), np.uint8)


def _clock(image: Image, _along: float, index: int) -> Image:
    shown = np.ascontiguousarray(image)
    height = image.shape[0]
    scale, thick = height / 700, max(1, height // 300)
    text, at = f"2026-03-01 12:00:{index // _CLOCK_FRAMES % 60:02d}", (height // 40, height // 14)
    cv2.putText(shown, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), thick, cv2.LINE_AA)
    return shown


def _halved(image: Image, _along: float, _index: int) -> Image:
    return np.asarray(cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)


CLEAN, HALF = "none", "half the resolution"
NUISANCES: dict[str, Change] = {
    "pixel gain 0.91": _channels(0.91, 0.91, 0.91),
    "pixel gain 1.10": _channels(1.10, 1.10, 1.10),
    "red over blue +3%": _channels(1.015, 1.0, 1 / 1.015),
    "red over blue -3%": _channels(1 / 1.015, 1.0, 1.015),
    "moving shadow": _shadow,
    "haze of 10%": _haze,
    "clock overlay": _clock,
}


@dataclass
class Found:
    """FAILs by nuisance, and what they were taken for.

    Attributes
    ----------
    fails : windows that FAIL
    added : those of clips whose clean window passes
    passing : whether that of the latest clip does
    causes : what FAILs were taken for
    left_out : clips without a baseline, in words
    """

    fails: dict[str, Share] = field(default_factory=dict)
    added: dict[str, Share] = field(default_factory=dict)
    causes: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    passing: bool = True

    def add(self, clip: str, nuisance: str, verdict: Judgement) -> None:
        failed = verdict.status is Status.FAIL
        self.fails.setdefault(nuisance, Share()).add(failed)
        if nuisance == CLEAN:
            self.passing = not failed
        if self.passing:
            self.added.setdefault(nuisance, Share()).add(failed)
        if failed:
            led = verdict.leading_features[0].feature if verdict.leading_features else "embedding"
            self.causes.append(f"{clip}, {nuisance}: {verdict.cause} ({led})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folders with clips of fixed cameras, separated by colons")
    parser.add_argument("--cache", type=Path, default=Path(".sentinel/evaluate"))
    chosen = parser.parse_args()
    settings, found = Settings(), Found()
    for clip in open_all([Path(folder) for folder in chosen.data.split(os.pathsep)], settings, chosen.cache, _say):
        try:
            measure(clip, settings, found)
        except SentinelError as error:
            found.left_out.append(f"{clip.name}: {error}")
        _say(clip.name)
    if not found.fails:
        sys.exit(f"{chosen.data} holds no clip that could be judged: name folders with video files of fixed cameras")
    print(machine())
    print(report(found))


def measure(clip: ClipFeatures, settings: Settings, found: Found) -> None:
    """Judge the first window of the second half of `clip`, clean and with each nuisance."""
    baseline = clip.known_for_half()
    clean = clip.whole[clip.half : clip.half + clip.rule.frames]
    found.add(clip.name, CLEAN, judged(baseline, clean, settings))
    first: list[Frame] = []
    for name, change in _changes(clip.sampling.fps is None).items():

        def frames(change: Callable[[Sequence[Frame]], Iterator[Frame]] = change) -> Iterator[Frame]:
            first.extend(() if first else clip.after_half())
            return change(first)

        found.add(clip.name, name, judged(baseline, clip.of(f"nuisance-{name}", frames), settings))


def _changes(every_frame: bool) -> dict[str, Callable[[Sequence[Frame]], Iterator[Frame]]]:
    """Return what makes the frames of each nuisance out of those of a window.

    Parameters
    ----------
    every_frame : whether the baseline samples every frame that the camera sends
    """
    return {
        **{name: partial(_one_by_one, change=change) for name, change in NUISANCES.items()},
        **{f"encoded again, crf {crf}": partial(_encoded_again, crf=crf) for crf in _CRF},
        "each frame twice at twice the rate": _twice if every_frame else iter,
        HALF: partial(_one_by_one, change=_halved),
    }


def _one_by_one(frames: Sequence[Frame], change: Change) -> Iterator[Frame]:
    return changed(frames, (change(frame.image, n / len(frames), n) for n, frame in enumerate(frames)))


def _encoded_again(frames: Sequence[Frame], crf: int) -> Iterator[Frame]:
    return changed(frames, encoded_again([frame.image for frame in frames], crf))


def _twice(frames: Sequence[Frame]) -> Iterator[Frame]:
    """Yield as many frames as there are, each of the first half of them twice: at its time, and halfway to the next."""
    for number, frame in enumerate(frames):
        shown, following = frames[number // 2], frames[number // 2 + 1]
        yield replace(shown, index=frame.index, time=(shown.time, (shown.time + following.time) / 2)[number % 2])


def encoded_again(images: Sequence[Image], crf: int) -> list[Image]:
    """Return `images` after H.264 at a constant quality; a last odd row and column is repeated from the original."""
    height, width = (side // 2 * 2 for side in images[0].shape[:2])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "again.mp4"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=25, options={"crf": str(crf)})
            assert isinstance(stream, VideoStream)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            for image in images:
                cut = np.ascontiguousarray(image[:height, :width])
                container.mux(stream.encode(av.VideoFrame.from_ndarray(cut, format="rgb24")))
            container.mux(stream.encode(None))
        again = sampled_frames(path, SourceKind.RECORDING, sample_fps=None, start=0, stop=None, limits=Limits())
        results = []
        for original, frame in zip(images, again, strict=True):
            whole = original.copy()
            whole[:height, :width] = frame.image
            results.append(whole)
        return results


def report(found: Found) -> str:
    """Return the table as Markdown."""

    def all_of(shares: dict[str, Share]) -> Share:
        return total(share for name, share in shares.items() if name not in {CLEAN, HALF})

    return "\n".join(
        [
            "| nuisance | windows that FAIL | of clips whose clean window passes |",
            "|---|---|---|",
            *(f"| {name} | {share} | {found.added.get(name, Share())} |" for name, share in found.fails.items()),
            f"| all nuisances but {HALF} | {all_of(found.fails)} | {all_of(found.added)} |",
            "",
            *found.causes,
            *(f"left out: {line}" for line in found.left_out),
        ]
    )


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
