"""When FAILs become a confirmed alarm: an e-detector, at a stated false-alarm rate per camera and day.

A camera yields thousands of windows per day, and some of them fail by chance. FAILs of clean footage also stick
together, so multiplying the p-values of consecutive windows takes one accident for many. Each window's p-value is
therefore turned into an e-value, which is at most 1 in the mean over clean windows, e = k p^(k - 1) (Vovk and Wang,
2021). The e-values of a block of at least `BLOCK_SECONDS` are averaged, which needs no independence within the block.
Over the blocks runs the Shiryaev-Roberts statistic M <- (M + 1) e: the mean time until it first reaches B on clean
footage is at least B blocks (e-detectors: Shin, Ramdas and Rinaldo, 2022).

A FAIL is confirmed, and so are those that follow without a PASS between them,

- if M has reached the bound B that `SENTINEL_FALSE_ALARMS_PER_DAY` gives, and the FAILs cover two windows that share
  no frame;
- if they cover two such windows, all of them gross: farther from golden than clean footage of other cameras ever was;
- at once if it needs no history to be known as a fault, such as a black picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

DAY_SECONDS = 86_400.0
BLOCK_SECONDS = 64.0
"""Shortest block; shorter ones share the same passing object or cloud."""
_K = 0.25  # 0.5 needs one block more for the smallest p-values that 200 clean windows support
_SMALLEST_P = 1e-3  # of baselines that know no clean windows: smaller ones are not calibrated
_WINDOWS = 2  # disjoint ones, that must fail before a run is confirmed
_LEAST_BOUND = 20.0  # where a block takes hours, the rate per day alone would ask for next to nothing


@dataclass(frozen=True)
class Detector:
    """The state of the e-detector of one stream. Its size is constant.

    Attributes
    ----------
    since : position in the stream of the first frame of the first FAIL since the last PASS; None after a PASS
    gross_since : the same of the gross FAILs since the last window that was none
    confirmed : whether a FAIL since the last PASS was confirmed
    level : the statistic M at the end of the last block, at most the bound
    opened : position at which the current block began
    total, count : sum and number of the e-values in the current block
    """

    since: int | None = None
    gross_since: int | None = None
    confirmed: bool = False
    level: float = 0.0
    opened: int = 0
    total: float = 0.0
    count: int = 0


@dataclass(frozen=True)
class AlarmRule:
    """When a stream's FAILs are confirmed.

    Attributes
    ----------
    bound : of the statistic, in blocks
    block_frames : frames of a block
    """

    bound: float
    block_frames: int

    @classmethod
    def of(cls, false_alarms_per_day: float, window: int, frames_per_second: float) -> AlarmRule:
        """Return the rule for windows of `window` frames, sampled at `frames_per_second`.

        Examples
        --------
        >>> AlarmRule.of(1.0, 48, 5.0)
        AlarmRule(bound=1350.0, block_frames=320)
        """
        rate = max(frames_per_second, 1e-6)
        frames = max(window, math.ceil(BLOCK_SECONDS * rate))
        blocks_per_day = DAY_SECONDS * rate / frames
        return cls(max(blocks_per_day / max(false_alarms_per_day, 1e-9), _LEAST_BOUND), frames)


@dataclass(frozen=True)
class Window:
    """What the detector is told of a window.

    Attributes
    ----------
    start, stop : positions in the stream of its first frame and of the frame after its last
    p_value : its p-value
    failed : whether it fails
    gross : whether it fails by far more than clean footage of other cameras ever did
    needs_no_history : whether it is known as a fault without any golden footage
    """

    start: int
    stop: int
    p_value: float
    failed: bool
    gross: bool = False
    needs_no_history: bool = False


def e_value(p_value: float) -> float:
    """Return the e-value of a p-value: its mean is 1 if p-values are uniform, and less if they are larger.

    Examples
    --------
    >>> round(e_value(0.05), 2), e_value(1.0)
    (2.36, 0.25)
    """
    return float(_K * max(p_value, _SMALLEST_P) ** (_K - 1.0))


def update(detector: Detector, rule: AlarmRule, window: Window) -> Detector:
    """Return the detector after the stream's next window."""
    after = _with_evidence(detector, rule, window)
    if not window.failed:
        return replace(after, since=None, gross_since=None, confirmed=False)
    since = window.start if after.since is None else after.since
    gross_since = (window.start if after.gross_since is None else after.gross_since) if window.gross else None
    long = _WINDOWS * (window.stop - window.start)
    confirmed = (
        after.confirmed
        or window.needs_no_history
        or (after.level >= rule.bound and window.stop - since >= long)
        or (gross_since is not None and window.stop - gross_since >= long)
    )
    return replace(after, since=since, gross_since=gross_since, confirmed=confirmed)


def _with_evidence(detector: Detector, rule: AlarmRule, window: Window) -> Detector:
    """Return the detector with the window's e-value in its block; a block that is complete moves the level."""
    opened = detector.opened if detector.count else window.start
    total, count = detector.total + e_value(window.p_value), detector.count + 1
    if window.stop - opened < rule.block_frames:
        return replace(detector, opened=opened, total=total, count=count)
    level = min((detector.level + 1.0) * total / count, rule.bound)
    return replace(detector, level=level, opened=window.stop, total=0.0, count=0)
