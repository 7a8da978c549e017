"""The sliding window of a stream: a pure function from the number of new frames to the windows to judge.

Frames arrive in the order of their stream. A window is judged whenever it is
full and `stride` frames have arrived since the last verdict. A batch long
enough to fill a window is judged by itself: the window is emptied at the start
of the batch, so that unrelated clips never mix, and the frames left at its end
are judged in one last window. Shorter batches, down to single frames of a
camera, and the segments of a live camera share windows.

Frames are numbered by their position in the stream. Their features are kept in
`common.drift.frame_buffer`, so the cost per frame does not depend on the length
of the window.

Windows and state do not depend on how a batch is split into blocks.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import Self

from pydantic import Field, model_validator

from common.contracts.ids import Message
from common.drift.confirmation import Detector
from common.errors import BadMessage

_DETECTOR = "?q?q?dqdq"
_RUN = "?qqd"
_STATE = struct.Struct(f"<qqq{_DETECTOR}{_DETECTOR}16s")
_TWO_RUNS = struct.Struct(f"<qqq{_RUN}{_RUN}16s")
_ONE_RUN = struct.Struct(f"<qqq{_RUN}16s")
_FORMAT = 4
"""First byte of a stored state. Format 3, of version 0.3, has runs whose evidence is a product of p-values. Format 2,
of version 0.2, has a single one. Format 1, of version 0.1, is like format 2 without this byte."""
_CONFIRMED = 10.0  # evidence, natural logarithm, at which a run of formats 1 to 3 was confirmed at one frame per second
_NO_EVIDENCE = Detector()


class WindowRule(Message):
    """Length of a window, and distance from one window to the next, in sampled frames."""

    frames: int = Field(ge=2)
    stride: int = Field(ge=1)

    @model_validator(mode="after")
    def _no_frame_unjudged(self) -> Self:
        # This also makes the first verdict due as soon as the window is full.
        if self.stride > self.frames:
            raise ValueError("the stride must not exceed the window, or frames would go unjudged")
        return self


@dataclass(frozen=True)
class WindowState:
    """The state of a stream beside its latest frames. Its size is constant.

    Attributes
    ----------
    position : number of frames that have arrived so far, which is the position of the next frame
    opened : position at which the window was last emptied
    unjudged : frames since the last verdict, or since the window was emptied
    fails : when FAILs are confirmed
    departures : the same of windows that fail the golden baseline, whether they match a condition or not
    feature_spec : 16-byte digest of the feature spec and window rule that the state belongs to
    """

    position: int = 0
    opened: int = 0
    unjudged: int = 0
    fails: Detector = _NO_EVIDENCE
    departures: Detector = _NO_EVIDENCE
    feature_spec: bytes = bytes(16)

    def latest(self, rule: WindowRule) -> range:
        """Return the positions of the frames that future windows may include."""
        return range(max(self.opened, self.position - rule.frames), self.position)

    def to_bytes(self) -> bytes:
        return bytes([_FORMAT]) + _STATE.pack(
            self.position,
            self.opened,
            self.unjudged,
            *_numbers(self.fails),
            *_numbers(self.departures),
            self.feature_spec,
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> WindowState:
        """Decode the result of `to_bytes` of this version or an earlier one; raise `BadMessage` for anything else."""
        try:
            if len(data) == _ONE_RUN.size:
                return cls._of_one_run(data)
            if data[:1] == bytes([2]):
                return cls._of_one_run(data[1:])
            if data[:1] == bytes([3]):
                return cls._of_two_runs(data[1:])
            if data[:1] > bytes([_FORMAT]):
                raise BadMessage(
                    f"a stored window has format {data[0]}, this version reads up to {_FORMAT}: "
                    "it was written by a newer version; upgrade this process"
                )
            if data[:1] != bytes([_FORMAT]):
                raise BadMessage("a stored window cannot be read: it is of no format that there ever was")
            position, opened, unjudged, *numbers, feature_spec = _STATE.unpack(data[1:])
        except struct.error as error:
            raise BadMessage(f"a stored window cannot be read: {error}") from error
        half = len(numbers) // 2
        return cls(position, opened, unjudged, _detector(*numbers[:half]), _detector(*numbers[half:]), feature_spec)

    @classmethod
    def _of_two_runs(cls, data: bytes) -> WindowState:
        position, opened, unjudged, *runs, feature_spec = _TWO_RUNS.unpack(data)
        return cls(position, opened, unjudged, _of_run(*runs[:4]), _of_run(*runs[4:]), feature_spec)

    @classmethod
    def _of_one_run(cls, data: bytes) -> WindowState:
        position, opened, unjudged, *run, feature_spec = _ONE_RUN.unpack(data)
        # Before there were conditions, every departure from the golden baseline was a FAIL.
        return cls(position, opened, unjudged, _of_run(*run), _of_run(*run), feature_spec)

    def of_feature_spec(self, feature_spec: bytes) -> WindowState:
        """Return the state for features of `feature_spec`; if they differ from those so far, a new window starts."""
        return (
            self
            if self.feature_spec == feature_spec
            else WindowState(self.position, self.position, feature_spec=feature_spec)
        )

    def without_evidence(self) -> WindowState:
        """Return the state without evidence: the windows so far were held against another golden baseline."""
        return replace(self, fails=_NO_EVIDENCE, departures=_NO_EVIDENCE)


def _numbers(detector: Detector) -> tuple[bool, int, bool, int, bool, float, int, float, int]:
    since, gross_since = detector.since, detector.gross_since
    return (
        since is not None,
        since or 0,
        gross_since is not None,
        gross_since or 0,
        detector.confirmed,
        detector.level,
        detector.opened,
        detector.total,
        detector.count,
    )


def _detector(
    failing: bool,
    since: int,
    gross: bool,
    gross_since: int,
    confirmed: bool,
    level: float,
    opened: int,
    total: float,
    count: int,
) -> Detector:
    return Detector(since if failing else None, gross_since if gross else None, confirmed, level, opened, total, count)


def _of_run(failing: bool, since: int, stop: int, evidence: float) -> Detector:
    """Return the detector of a stored run: what was confirmed stays so, its product of p-values is no evidence."""
    del stop
    return Detector(since=since, confirmed=evidence >= _CONFIRMED) if failing else Detector()


def advance(
    state: WindowState,
    rule: WindowRule,
    count: int,
    *,
    own_window: bool,
    starts: bool,
    ends: bool,
    ends_sparse: bool = False,
) -> tuple[WindowState, tuple[range, ...]]:
    """Advance the state by `count` frames, and return it with the windows to judge, as ranges of positions.

    Parameters
    ----------
    count : number of consecutive frames of one batch, possibly 0
    own_window : whether the whole batch is long enough to fill a window
    starts, ends : whether these frames are the first or the last of their batch
    ends_sparse : whether they are the last of a batch that is sampled sparsely, which is judged at its end: its frames
        are few, and what decides how the next one is sampled must not wait for a stride of them
    """
    if own_window and starts:
        state = replace(state, opened=state.position, unjudged=0)
    windows = []
    unjudged = state.unjudged

    def judge(stop: int) -> None:
        nonlocal unjudged
        if stop - state.opened >= rule.frames:
            windows.append(range(stop - rule.frames, stop))
            unjudged = 0

    for stop in range(state.position + 1, state.position + count + 1):
        unjudged += 1
        if unjudged >= rule.stride:
            judge(stop)
    if ((own_window and ends) or ends_sparse) and unjudged:
        judge(state.position + count)
    return replace(state, position=state.position + count, unjudged=unjudged), tuple(windows)
