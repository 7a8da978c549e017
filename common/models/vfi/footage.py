"""Frame triplets for training and replay, read from sources at their native rate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from common.contracts.batches import SourceKind
from common.errors import BadSource
from common.features import FeatureBlock, Image
from common.modalities.video.decode import probe, sampled_frames
from common.models.vfi.triplets import TRIPLET_SIZE, collect_triplets
from common.sources.local import Limits, describe_kind, local_path

TripletArray = npt.NDArray[np.uint8]
"""(n, 3, height, width, 3): previous, middle and next frame, RGB."""

_REPLAY_TRIPLETS = 36  # of each golden clip; about 0.5 MB each dozen, and enough to hold the golden footage in mind


def golden_replay(path: Path, kind: SourceKind, limits: Limits) -> TripletArray:
    """Return triplets spread over a golden clip, to be kept with the baseline."""
    info = probe(path, kind, limits)
    count = max(1, int(info.frames))
    frames = (f.image for f in sampled_frames(path, kind, sample_fps=None, start=0, stop=None, limits=limits))
    return collect_triplets(frames, _REPLAY_TRIPLETS, expected_frames=count)


def source_triplets(clip: FeatureBlock, *, limits: Limits, roots: Sequence[Path], most: int) -> TripletArray:
    """Return up to `most` triplets of the stretch of footage that `clip` was made of.

    Raises
    ------
    BadSource
        If a source is gone or cannot be read.
    """
    if all(describe_kind(local_path(uri, roots)) is SourceKind.IMAGE for uri in clip.sources):
        # A camera that sends stills: consecutive stills are the triplets.
        return collect_triplets(_stills(clip, limits, roots), most, expected_frames=len(clip))
    parts = []
    for number, uri in enumerate(clip.sources):
        times = clip.times[clip.source_index == number]
        path = local_path(uri, roots)
        kind = describe_kind(path)
        info = probe(path, kind, limits)
        start, stop = int(times.min() * info.fps), int(times.max() * info.fps) + 1
        frames = (f.image for f in sampled_frames(path, kind, sample_fps=None, start=start, stop=stop, limits=limits))
        parts.append(collect_triplets(frames, max(1, most // len(clip.sources)), expected_frames=stop - start))
    if not parts:
        raise BadSource("the stretch names no source")
    return np.concatenate(parts) if parts else np.zeros((0, 3, *TRIPLET_SIZE, 3), np.uint8)


def _stills(clip: FeatureBlock, limits: Limits, roots: Sequence[Path]) -> Iterator[Image]:
    for frame in range(len(clip)):
        path = local_path(clip.source_of(frame), roots)
        for still in sampled_frames(path, SourceKind.IMAGE, sample_fps=None, start=0, stop=None, limits=limits):
            yield still.image
