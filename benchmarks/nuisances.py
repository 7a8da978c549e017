"""Nuisances: changes of a picture that are no fault of a camera, and must not FAIL.

    python -m benchmarks.nuisances --data FOLDER

As in `benchmarks.detection`, the first half of each clip is golden footage. The
first window of the second half is judged with each nuisance: slightly more or
less light, a slightly different white balance, a shadow that moves through, thin
haze, a clock in the corner, and the same footage encoded again.

Settings (SENTINEL_*) apply as usual. A clip that gives no baseline is left out.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.stream import VideoStream

from benchmarks.clips import clips_below
from benchmarks.footage import plan
from benchmarks.shares import Share, total
from benchmarks.workbench import fit
from common.contracts.batches import SourceKind
from common.contracts.verdicts import Judgement, Status
from common.drift.judge import judge
from common.errors import SentinelError
from common.extraction import Extractor, load_extractor
from common.features import FeatureBlock, Image
from common.modalities.video.decode import Frame, sampled_frames
from common.modalities.video.diagnosis import diagnose
from common.modalities.video.frame_converter import StillPicture
from common.modalities.video.modality import VIDEO
from common.settings import Settings
from common.sources.limits import Limits

_BLOCK = 32  # frames per block of features
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
    """FAILs by nuisance, and what they were taken for."""

    fails: dict[str, Share] = field(default_factory=dict)
    causes: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def add(self, clip: str, nuisance: str, verdict: Judgement) -> None:
        failed = verdict.status is Status.FAIL
        self.fails.setdefault(nuisance, Share()).add(failed)
        if failed:
            led = verdict.leading_features[0].feature if verdict.leading_features else "embedding"
            self.causes.append(f"{clip}, {nuisance}: {verdict.cause} ({led})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with video clips")
    chosen = parser.parse_args()
    clips = clips_below(chosen.data)
    if not clips:
        sys.exit(f"{chosen.data} holds no video files")
    settings, found = Settings(), Found()
    extractor = load_extractor(settings, VIDEO, None)
    for clip in clips:
        try:
            measure(clip, extractor, settings, found)
        except SentinelError as error:
            found.left_out.append(f"{clip.name}: {error}")
        print(clip.name, file=sys.stderr, flush=True)
    print(report(found))


def measure(clip: Path, extractor: Extractor, settings: Settings, found: Found) -> None:
    """Judge the first window of the second half of `clip`, clean and with each nuisance."""
    sampling = plan(clip, extractor, settings)
    half = sampling.count // 2

    def read(start: int, stop: int) -> Iterator[Frame]:
        return sampled_frames(
            clip, SourceKind.RECORDING, sample_fps=sampling.fps, start=start, stop=stop, limits=extractor.limits
        )

    def features(frames: Iterator[Frame]) -> FeatureBlock:
        return FeatureBlock.concatenate(list(extractor.features(frames, clip.name, _BLOCK)))

    baseline = fit(clip.stem, [(clip.stem, features(read(0, half)))], sampling.rule)
    window = list(read(half, half + sampling.rule.frames))

    def judged(name: str, images: Sequence[Image]) -> None:
        frames = (replace(f, picture=StillPicture(i)) for f, i in zip(window, images, strict=True))
        verdict = judge(
            baseline, features(frames), threshold=settings.drift_threshold, p_value=settings.p_value, diagnose=diagnose
        )
        found.add(clip.stem, name, verdict)

    clean = [frame.image for frame in window]
    judged("none", clean)
    for name, change in NUISANCES.items():
        judged(name, [change(image, n / len(clean), n) for n, image in enumerate(clean)])
    for crf in _CRF:
        judged(f"encoded again, crf {crf}", encoded_again(clean, crf))


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
    named = {name: share for name, share in found.fails.items() if name != "none"}
    return "\n".join(
        [
            "| nuisance | windows that FAIL |",
            "|---|---|",
            *(f"| {name} | {share} |" for name, share in found.fails.items()),
            f"| all nuisances | {total(named.values())} |",
            "",
            *found.causes,
            *(f"left out: {line}" for line in found.left_out),
        ]
    )


if __name__ == "__main__":
    main()
