"""Chunking: which sampled frames of a source each chunk starts with."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from common.errors import BadSource
from common.modalities.video.sampling import TimestampArray
from common.modalities.video.timeline import read_sampled, read_timeline
from common.sources.limits import Limits

# A chunk starts at a key frame if there is one within _SHORTEST to _LONGEST times the chunk size; one within _NORMAL is
# preferred. Longer chunks would distribute the work too unevenly.
_SHORTEST, _NORMAL, _LONGEST = 0.5, 2.0, 8.0


def chunk_video(path: Path, sample_fps: float | None, size: int, limits: Limits) -> tuple[int, tuple[int, ...]]:
    """Return the number of sampled frames of a video, and the indices of those at which a chunk starts.

    It runs in the sandbox, so its arguments and its result must be picklable.

    Parameters
    ----------
    path : a video file
    sample_fps : sampled frames per second; None: every frame
    size : frames per chunk, approximately
    limits : what a source may measure

    Raises
    ------
    BadSource
        If the file cannot be read, exceeds the limits, or holds no frames.
    """
    timeline, wanted = read_timeline(path, limits), read_sampled(path, sample_fps, limits)
    if not len(wanted):
        raise BadSource(f"{path} holds a header and no frames: it is cut short; send it again, whole")
    limits.check_length(str(path), len(timeline.pts), timeline.duration)
    return len(wanted), chunk_at_keys(wanted, timeline.keys, size)


def chunk_at_keys(wanted: TimestampArray, keys: TimestampArray, size: int) -> tuple[int, ...]:
    """Return the indices of the sampled frames that start chunks of about `size` frames.

    Where possible a chunk starts at the first sampled frame at or after a key
    frame. Decoding has to start at a key frame, so a chunk that starts between
    two of them decodes frames that the previous chunk has decoded already.

    Parameters
    ----------
    wanted : (n,) presentation timestamps of the sampled frames, ascending
    keys : (k,) presentation timestamps of the key frames, ascending
    size : frames per chunk, approximately

    Examples
    --------
    >>> chunk_at_keys(np.arange(20), np.array([0, 8, 16]), 7)
    (0, 8, 16)
    """
    group = np.searchsorted(keys, wanted, side="right")
    at_key = np.flatnonzero(group[1:] > group[:-1]) + 1
    starts = [0]
    while starts[-1] + size < len(wanted):
        start = starts[-1]
        for shortest, longest in ((_SHORTEST, _NORMAL), (_NORMAL, _LONGEST)):
            near = at_key[(at_key >= start + max(1, int(shortest * size))) & (at_key <= start + longest * size)]
            if len(near):
                starts.append(int(near[np.argmin(np.abs(near - start - size))]))
                break
        else:
            if len(wanted) - start <= _NORMAL * size:
                break  # a last chunk that is a little longer
            starts.append(start + size)
    return tuple(starts)
