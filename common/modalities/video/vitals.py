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

_LEAST_SECONDS = 1.0
_RHYTHM = 32  # frames from which their rhythm is taken, before and after
_FEWEST_STEPS = 8  # that show a rhythm
_EVEN = 1.5  # of the longest step to the shortest; where a frame is missing it is 2
_EARLIEST = -(2**63)  # timestamp that a file can have
_SHORTEST, _LONGEST = 1e-4, 86_400.0  # seconds between frames
# Encoders send key frames every second or more rarely; what is more frequent is as good.
_SHORTEST_KEY, _LONGEST_KEY = 1.0, 600.0  # seconds between key frames
_SLOWEST, _FASTEST = 1.0, 1e9  # bytes per second


def _lower_quartile(values: npt.NDArray[np.float64]) -> float:
    middle = (len(values) - 1) // 4
    return float(np.partition(values, middle)[middle])


class Vitals:
    """Measures the vitals of a video's sampled frames.

    The vitals of a frame depend on the packets alone, wherever reading starts: a part has those of the whole.

    Parameters
    ----------
    timeline : of the video
    wanted : timestamps of its sampled frames
    """

    def __init__(self, timeline: Timeline, wanted: TimestampArray) -> None:
        self._timeline = timeline
        self._at = np.searchsorted(timeline.pts, wanted)
        self._tick = float(timeline.time_base)
        self._second = round(_LEAST_SECONDS / self._tick)

    def of(self, index: int, shown: int, failed: Collection[int]) -> FloatArray | None:
        """Return (v,) the vitals of sampled frame `index`; None for the first one.

        Parameters
        ----------
        shown : timestamp of the frame that was decoded; another one than that of the sampled frame if that one could
            not be decoded
        failed : timestamps of the frames that are corrupt or could not be decoded, as far as is known
        """
        if index == 0:
            return None
        timeline, at = self._timeline, int(self._at[index])
        second_ago = np.int64(max(int(timeline.pts[at]) - self._second, _EARLIEST))
        first = int(np.searchsorted(timeline.pts, second_ago, side="right"))
        first = max(1, min(first, int(self._at[index - 1]) + 1))
        steps = self._steps(first, at)
        longest = float(steps.max())
        rate = float(timeline.sizes[first : at + 1].sum()) / float(steps.sum())
        return np.array(
            [
                np.log(longest),
                self._missing_share(steps, longest, first, at),
                np.log(min(max(self._key_seconds(at), _SHORTEST_KEY), _LONGEST_KEY)),
                np.log(min(max(rate, _SLOWEST), _FASTEST)),
                self._decode_errors(first, at, shown, failed) if failed or shown != timeline.pts[at] else 0.0,
            ],
            np.float32,
        )

    def _steps(self, first: int, last: int) -> npt.NDArray[np.float64]:
        """Return the seconds from each of the native frames before `first` to `last` to the next one."""
        times = self._timeline.pts[first - 1 : last + 1].astype(np.float64)
        return np.clip(np.diff(times) * self._tick, _SHORTEST, _LONGEST)

    def _missing_share(self, steps: npt.NDArray[np.float64], longest: float, first: int, at: int) -> float:
        if len(steps) >= _FEWEST_STEPS and longest < _EVEN * float(steps.min()):
            return 0.0  # frames that come evenly miss none between them, at whatever rate
        return 1.0 - len(steps) / float(np.maximum(np.rint(steps / self._typical_step(first, at)), 1.0).sum())

    def _typical_step(self, first: int, at: int) -> float:
        """Return the seconds between frames around here: the lower quartile, which only many missing frames lengthen.

        Of the frames before and those after, it is the longer one: a camera that goes over to half the rate, as many do
        in the dark, misses no frame.
        """
        last = len(self._timeline.pts) - 1
        before = self._steps(max(1, min(first, at - _RHYTHM + 1)), at)
        after = self._steps(at + 1, min(last, at + _RHYTHM)) if last - at >= _FEWEST_STEPS else before
        return max(_lower_quartile(before), _lower_quartile(after))

    def _key_seconds(self, at: int) -> float:
        """Return the seconds from the last key frame up to a native frame to the next one.

        After the last key frame they are those to the end of the recording, if that is longer than the interval before.
        """
        pts, keys = self._timeline.pts, self._timeline.key_frames
        after = int(np.searchsorted(keys, pts[at], side="right"))
        opened = float(keys[after - 1]) if after else float(pts[0])
        if after < len(keys):
            return (float(keys[after]) - opened) * self._tick
        before = opened - float(keys[after - 2]) if after > 1 else 0.0
        return max(float(pts[-1]) - opened, before) * self._tick

    def _decode_errors(self, first: int, at: int, shown: int, failed: Collection[int]) -> float:
        """Return the share of native frames that failed, from `first` on, but not before the last key frame.

        Of frames before the key frame, and of those that are decoded after the sampled one, it depends on where reading
        starts whether they are decoded.
        """
        timeline = self._timeline
        key = int(np.searchsorted(timeline.keys, timeline.pts[at], side="right"))
        if key:
            first = max(first, int(np.searchsorted(timeline.pts, timeline.keys[key - 1])))
        pts = timeline.pts[first : at + 1]
        decoded = pts[timeline.order[first : at + 1] <= timeline.order[at]]
        lost = sum(int(time) in failed for time in decoded)
        if shown != timeline.pts[at] and int(timeline.pts[at]) not in failed:
            lost += 1
        return lost / len(pts)
