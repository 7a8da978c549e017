"""Vitals: how the frames of a recording arrive, whatever they show.

They come from the timestamps and sizes of the packets, which are read for the timeline anyway, and from the errors of
those packets that are decoded anyway. So they cost no decoding. A sampled frame's vitals are of the native frames since
the sampled frame before it, and of one second at least: what is lost in between shows in the frames that follow. The
first sampled frame of a recording has none, and neither have stills.

Nothing that a file says is trusted: intervals, sizes and rates are bounded before their logarithm is taken.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from common.features import FloatArray
from common.modalities.video.sampling import TimestampArray
from common.modalities.video.timeline import Timeline
from common.modalities.video.vitals_columns import VITALS_COLUMNS

_LEAST_SECONDS = 1.0
_RHYTHM = 32  # frames from which their rhythm is taken, before and after
_FEWEST_STEPS = 8  # that show a rhythm
_EVEN = 1.5  # of the longest step to the shortest; where a frame is missing it is 2
_EARLIEST = -(2**63)  # timestamp that a file can have
_SHORTEST, _LONGEST = 1e-4, 86_400.0  # seconds between frames
# Encoders send key frames every second or more rarely; what is more frequent is as good.
_SHORTEST_KEY, _LONGEST_KEY = 1.0, 600.0  # seconds between key frames
_SLOWEST, _FASTEST = 1.0, 1e9  # bytes per second
_ERRORS = VITALS_COLUMNS.index("decode_errors")


def _typical(steps: npt.NDArray[np.float64]) -> float:
    """Return the mean of those steps that are no longer than others, up to half of which may be: no frame is missing
    there. The mean, for frames may arrive unevenly."""
    middle = (len(steps) - 1) // 2
    return float(steps[steps < _EVEN * np.partition(steps, middle)[middle]].mean())


class Vitals:
    """The vitals of the sampled frames `start` to `stop` of a video.

    They depend on the packets alone, wherever reading starts: a part has those of the whole.

    Parameters
    ----------
    timeline : of the video
    wanted : timestamps of its sampled frames
    start, stop : of the part
    """

    def __init__(self, timeline: Timeline, wanted: TimestampArray, start: int, stop: int) -> None:
        self._timeline = timeline
        self._tick = float(timeline.time_base)
        self._start = max(start, 1)  # nothing comes before the first one
        at = np.searchsorted(timeline.pts, wanted[self._start - 1 : max(stop, self._start)])
        self._at = at[1:]
        second_ago = [max(int(pts) - round(_LEAST_SECONDS / self._tick), _EARLIEST) for pts in timeline.pts[self._at]]
        first = np.searchsorted(timeline.pts, np.array(second_ago, np.int64), side="right")
        self._first = np.maximum(1, np.minimum(first, at[:-1] + 1))
        self._rows = self._measured() if len(self._at) else np.zeros((0, len(VITALS_COLUMNS)), np.float32)

    def of(self, index: int, shown: int, failed: Collection[int]) -> FloatArray | None:
        """Return (v,) the vitals of sampled frame `index`; None for the first one of the video.

        Parameters
        ----------
        shown : timestamp of the frame that was decoded; another one than that of the sampled frame if that one could
            not be decoded
        failed : timestamps of the frames that are corrupt or could not be decoded, as far as is known
        """
        if index == 0:
            return None
        row: FloatArray = self._rows[index - self._start]
        if failed or shown != self._timeline.pts[self._at[index - self._start]]:
            row[_ERRORS] = self._decode_errors(index - self._start, shown, failed)
        return row

    def _measured(self) -> FloatArray:
        """Return the (n, v) vitals without decode errors."""
        timeline, at, first = self._timeline, self._at, self._first
        begin = int(first.min())
        steps = self._steps(begin, int(at.max()))
        # Of each pair of edges, `reduceat` takes what lies between them; one more element lets the last edge be one.
        edges = np.column_stack([first, at + 1]).ravel() - begin
        longest = np.maximum.reduceat(np.append(steps, 0.0), edges)[::2]
        shortest = np.minimum.reduceat(np.append(steps, _LONGEST), edges)[::2]
        received = np.add.reduceat(np.append(timeline.sizes[begin : at.max() + 1], 0), edges)[::2].astype(np.float64)
        seconds = (timeline.pts[at].astype(np.float64) - timeline.pts[first - 1].astype(np.float64)) * self._tick
        rate = received / np.clip(seconds, _SHORTEST, None)
        missing = np.zeros(len(at))
        for row in np.flatnonzero((at - first + 1 < _FEWEST_STEPS) | (longest >= _EVEN * shortest)):
            missing[row] = self._missing_share(int(first[row]), int(at[row]))
        return np.column_stack(
            [
                np.log(longest),
                missing,
                np.log(np.clip(self._key_seconds(), _SHORTEST_KEY, _LONGEST_KEY)),
                np.log(np.clip(rate, _SLOWEST, _FASTEST)),
                np.zeros(len(at)),
            ]
        ).astype(np.float32)

    def _steps(self, first: int, last: int) -> npt.NDArray[np.float64]:
        """Return the seconds from each of the native frames before `first` to `last` to the next one."""
        times = self._timeline.pts[first - 1 : last + 1].astype(np.float64)
        return np.clip(np.diff(times) * self._tick, _SHORTEST, _LONGEST)

    def _missing_share(self, first: int, at: int) -> float:
        """Return the share of frames that are missing between native frames.

        A late frame is not missing: the step after it is the shorter.
        """
        steps = self._steps(first, at) / self._typical_step(first, at)
        expected = min(float(np.maximum(np.rint(steps), 1.0).sum()), float(steps.sum()))
        return 1.0 - len(steps) / max(expected, float(len(steps)))

    def _typical_step(self, first: int, at: int) -> float:
        """Return the seconds between frames around here.

        Of the frames before and those after, it is the longer one: a camera that goes over to half the rate, as many do
        in the dark, misses no frame.
        """
        last = len(self._timeline.pts) - 1
        before = self._steps(max(1, min(first, at - _RHYTHM + 1)), at)
        after = self._steps(at + 1, min(last, at + _RHYTHM)) if last - at >= _FEWEST_STEPS else before
        return max(_typical(before), _typical(after))

    def _key_seconds(self) -> npt.NDArray[np.float64]:
        """Return the seconds from the last key frame up to each frame to the next one.

        After the last key frame they are those to the end of the recording, if that is longer than the interval before.
        """
        pts, keys = self._timeline.pts, self._timeline.key_frames.astype(np.float64)
        # A video may begin before its first key frame.
        edges = np.concatenate([[float(pts[0])], keys, [float(pts[-1])]])
        intervals = np.diff(edges)
        if len(keys) > 1:
            intervals[-1] = max(intervals[-1], intervals[-2])
        after = np.searchsorted(self._timeline.key_frames, pts[self._at], side="right")
        return np.asarray(intervals[after] * self._tick, np.float64)

    def _decode_errors(self, row: int, shown: int, failed: Collection[int]) -> float:
        """Return the share of native frames that failed, but not of those before the last key frame.

        Of frames before the key frame, and of those that are decoded after the sampled one, it depends on where reading
        starts whether they are decoded.
        """
        timeline, first, at = self._timeline, int(self._first[row]), int(self._at[row])
        key = int(np.searchsorted(timeline.keys, timeline.pts[at], side="right"))
        if key:
            first = max(first, int(np.searchsorted(timeline.pts, timeline.keys[key - 1])))
        pts = timeline.pts[first : at + 1]
        decoded = pts[timeline.order[first : at + 1] <= timeline.order[at]]
        lost = sum(int(time) in failed for time in decoded)
        if shown != timeline.pts[at] and int(timeline.pts[at]) not in failed:
            lost += 1
        return lost / len(pts)
