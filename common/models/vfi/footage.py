"""Frame triplets for training and replay, read from sources at their full frame rate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from common.contracts.batches import SourceKind
from common.errors import BadSource
from common.features import FeatureBlock, Image
from common.modalities.video.decode import probe, sampled_frames
from common.models.vfi.triplets import DISTANT, Collected, TripletArray, collect, collect_triplets, join, spread
from common.object_root import Root
from common.sources.limits import Limits
from common.sources.local import describe_kind, source_path

_REPLAY_TRIPLETS = 200  # of a golden clip; up to 150 MB before compression, and enough to see that nothing is lost


def golden_replay(path: Path, kind: SourceKind, limits: Limits) -> TripletArray:
    """Return triplets (n, 3, h, w, 3) uint8 spread over a golden clip, to be stored beside the baseline.

    Raises
    ------
    BadSource
        If the clip cannot be read.
    """
    info = probe(path, kind, limits)
    count = max(1, int(info.frames))
    frames = (f.image for f in sampled_frames(path, kind, sample_fps=None, start=0, stop=None, limits=limits))
    return collect_triplets(frames, _REPLAY_TRIPLETS, expected_frames=count)


def source_triplets(clip: FeatureBlock, *, limits: Limits, roots: Sequence[Root], most: int) -> Collected:
    """Return up to `most` triplets of the footage that the features in `clip` were made from, in time order.

    Their distant surroundings may lie outside the stretch, in the same source.

    Parameters
    ----------
    clip : features of consecutive frames; only their sources and times are used
    limits : what a source may measure
    roots : folders, and prefixes of object storage, in which the sources may lie
    most : largest number of triplets

    Raises
    ------
    BadSource
        If a source no longer exists or cannot be read.
    """
    if not clip.sources:
        raise BadSource("the footage names no source: it cannot be read again for training")
    if all(describe_kind(source_path(uri, roots)) is SourceKind.IMAGE for uri in clip.sources):
        # A camera that sends stills: triplets are made of consecutive stills.
        return collect(_stills(clip, limits, roots), spread(len(clip), most))
    parts = []
    for number, uri in enumerate(clip.sources):
        times = clip.times[clip.source_index == number]
        path = source_path(uri, roots)
        kind = describe_kind(path)
        info = probe(path, kind, limits)
        start, stop = int(times.min() * info.fps), int(times.max() * info.fps) + 1
        first = max(0, start - DISTANT)
        frames = sampled_frames(path, kind, sample_fps=None, start=first, stop=stop + DISTANT, limits=limits)
        starts = [start - first + offset for offset in spread(stop - start, max(1, most // len(clip.sources)))]
        parts.append(collect((frame.image for frame in frames), starts))
    return join(parts)


def _stills(clip: FeatureBlock, limits: Limits, roots: Sequence[Root]) -> Iterator[Image]:
    for frame in range(len(clip)):
        path = source_path(clip.source_of(frame), roots)
        for still in sampled_frames(path, SourceKind.IMAGE, sample_fps=None, start=0, stop=None, limits=limits):
            yield still.image
