"""Frame triplets for training and replay, read from sources at their full frame rate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from common.contracts.batches import SourceKind
from common.errors import BadSource
from common.features import FeatureBlock, Image
from common.modalities.video.decode import probe, sampled_frames
from common.models.vfi.triplets import TripletArray, collect_triplets
from common.sources.local import Limits, describe_kind, local_path

_REPLAY_TRIPLETS = 36  # per golden clip; about 0.5 MB per dozen, and enough to keep a model from forgetting the footage


def golden_replay(path: Path, kind: SourceKind, limits: Limits) -> TripletArray:
    """Return triplets (n, 3, h, w, 3) uint8 spread over a golden clip, to be stored with the baseline.

    Raises
    ------
    BadSource
        If the clip cannot be read.
    """
    info = probe(path, kind, limits)
    count = max(1, int(info.frames))
    frames = (f.image for f in sampled_frames(path, kind, sample_fps=None, start=0, stop=None, limits=limits))
    return collect_triplets(frames, _REPLAY_TRIPLETS, expected_frames=count)


def source_triplets(clip: FeatureBlock, *, limits: Limits, roots: Sequence[Path], most: int) -> TripletArray:
    """Return up to `most` triplets of the footage that the features in `clip` were made from.

    Parameters
    ----------
    clip : features of consecutive frames; only their sources and times are used
    limits : what a source may measure
    roots : folders in which the sources may lie
    most : largest number of triplets

    Returns
    -------
    (n, 3, h, w, 3) uint8, as `triplets.collect_triplets` returns it

    Raises
    ------
    BadSource
        If a source no longer exists or cannot be read.
    """
    if all(describe_kind(local_path(uri, roots)) is SourceKind.IMAGE for uri in clip.sources):
        # A camera that sends stills: triplets are made of consecutive stills.
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
        raise BadSource("the footage names no source: it cannot be read again for training")
    return np.concatenate(parts)


def _stills(clip: FeatureBlock, limits: Limits, roots: Sequence[Path]) -> Iterator[Image]:
    for frame in range(len(clip)):
        path = local_path(clip.source_of(frame), roots)
        for still in sampled_frames(path, SourceKind.IMAGE, sample_fps=None, start=0, stop=None, limits=limits):
            yield still.image
