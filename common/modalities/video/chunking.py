"""Where a source is cut into chunks."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from common.errors import BadSource
from common.modalities.video.sampling import TimestampArray
from common.modalities.video.timeline import read_sampled, read_timeline
from common.sources.local import Limits

# How far a cut may move to meet a key frame, in chunks: further down the work is too uneven.
_SHORTEST, _NORMAL, _LONGEST = 0.5, 2.0, 8.0


def chunk_video(path: Path, sample_fps: float | None, size: int, limits: Limits) -> tuple[int, tuple[int, ...]]:
    """Return the number of sampled frames of a video, and those at which chunks of about `size` frames start.

    Runs in the sandbox: must be importable, arguments must pickle.

    Raises
    ------
    BadSource
        If the file cannot be read, is longer than a source may be, or holds no frames.
    """
    timeline, wanted = read_timeline(path, limits), read_sampled(path, sample_fps, limits)
    if not len(wanted):
        raise BadSource(f"{path} holds a header and no frames: it is cut short; send it again, whole")
    limits.check_length(str(path), len(timeline.pts), timeline.duration)
    return len(wanted), chunk_at_keys(wanted, timeline.keys, size)


def chunk_evenly(count: int, size: int) -> tuple[int, ...]:
    """Return where chunks of `size` of `count` frames start."""
    return tuple(range(0, count, size))


def chunk_at_keys(wanted: TimestampArray, keys: TimestampArray, size: int) -> tuple[int, ...]:
    """Return where chunks of about `size` frames start: at the first sampled frame of a key frame's group if it can be.

    Decoding starts at a key frame. A chunk that starts elsewhere decodes again
    what the chunk before it has decoded already.

    Parameters
    ----------
    wanted : (n,) times of the sampled frames, ascending
    keys : (k,) times of key frames, ascending
    size : frames a chunk

    Examples
    --------
    >>> chunk_at_keys(np.arange(20), np.array([0, 8, 16]), 7)
    (0, 8, 16)
    """
    group = np.searchsorted(keys, wanted, side="right")
    good = np.flatnonzero(group[1:] > group[:-1]) + 1
    starts = [0]
    while starts[-1] + size < len(wanted):
        start = starts[-1]
        for shortest, longest in ((_SHORTEST, _NORMAL), (_NORMAL, _LONGEST)):
            near = good[(good >= start + max(1, int(shortest * size))) & (good <= start + longest * size)]
            if len(near):
                starts.append(int(near[np.argmin(np.abs(near - start - size))]))
                break
        else:
            if len(wanted) - start <= _NORMAL * size:
                break  # a last chunk that is a little longer
            starts.append(start + size)
    return tuple(starts)
