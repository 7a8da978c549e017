"""Interpolation of a video: more frames per second, by the model that Sentinel heals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.errors import BadSource
from common.features import Image
from common.modalities.video.decode import probe, sampled_frames
from common.modalities.video.encode import write_frames
from common.modalities.video.frame import Frame
from common.models.protocols import Predictor
from common.models.vfi.triplets import is_cut
from common.sources.limits import Limits
from common.sources.local import check_file, describe_kind

FACTORS = (2, 4)
"""By which the frame rate can be multiplied: each doubling puts a frame into the middle of two."""


Progress = Callable[[int, int], None]
"""Receives how many frames of the source are done, and how many it declares."""


@dataclass(frozen=True)
class Interpolated:
    """What was written: frames of the source, frames in the result, and cuts across which nothing was blended."""

    source_frames: int
    frames: int
    cuts: int


def interpolate_video(
    source: Path, target: Path, model: Predictor, *, factor: int, limits: Limits, progress: Progress
) -> Interpolated:
    """Write the video at `source` to `target` at `factor` times its frame rate; its own frames stay in their places.

    Between two frames of one scene the model predicts the others. Between two scenes the nearer frame is repeated.
    Where a side has an odd length, the last row or column is dropped, as `write_frames` does. At most a handful of
    frames are in memory.

    Parameters
    ----------
    source : a video, or a folder of images, which count as one second each
    target : its suffix determines the container; an existing file is replaced when the new one is complete
    model : predicts the middle frame of a triplet, of frames of any size
    factor : one of `FACTORS`

    Raises
    ------
    BadSource
        If the source cannot be read, has fewer than two frames, or the target cannot be written.
    """
    if factor not in FACTORS:
        raise BadSource(f"the frame rate can be multiplied by {' or '.join(map(str, FACTORS))}, not by {factor}")
    if target.resolve() == source.resolve():
        raise BadSource(f"{target} is the source itself: name another file for the result")
    kind = describe_kind(source)
    if not source.is_dir():
        check_file(source, limits)
    info = probe(source, kind, limits)
    frames = sampled_frames(source, kind, sample_fps=None, start=0, stop=None, limits=limits)
    between = _Between(model, factor)
    count = write_frames(target, between.frames(frames, info.frames, progress), info.fps * factor)
    return Interpolated(between.read, count, between.cuts)


class _Between:
    """Puts frames between frames, and counts."""

    def __init__(self, model: Predictor, factor: int) -> None:
        self.read = 0
        self.cuts = 0
        self._model = model
        self._factor = factor

    def frames(self, source: Iterator[Frame], expected: int, progress: Progress) -> Iterator[Frame]:
        """Yield the frames of `source` and those between them, in order of time."""
        previous: Frame | None = None
        count = 0
        for frame in source:
            if previous is not None:
                if frame.image.shape != previous.image.shape:
                    raise BadSource(f"frame {self.read} has another size than those before: make all the same size")
                for number, image in enumerate(self._images(previous.image, frame.image), 1):
                    share = number / self._factor
                    yield Frame.of(image, count, (1.0 - share) * previous.time + share * frame.time)
                    count += 1
            yield Frame.of(frame.image, count, frame.time)
            count += 1
            self.read += 1
            progress(self.read, max(expected, self.read))
            previous = frame
        if self.read == 1:
            raise BadSource("it has a single frame, and there is nothing between it and another: send a video")

    def _images(self, first: Image, last: Image) -> list[Image]:
        """Return the `factor` - 1 images between two frames."""
        if is_cut(first, last):
            self.cuts += 1
            return [first if number <= self._factor // 2 else last for number in range(1, self._factor)]
        return self._halved(first, last, self._factor)

    def _halved(self, first: Image, last: Image, parts: int) -> list[Image]:
        if parts == 1:
            return []
        # The middle frame of the triplet is what is predicted; what stands in its place is not looked at.
        middle: Image = self._model.predict(np.stack([first, first, last])[None])[0]
        return [*self._halved(first, middle, parts // 2), middle, *self._halved(middle, last, parts // 2)]
