"""The sliding window of a stream, as a pure rule: how many frames entered in, windows that are due out.

Frames enter in the order of their stream. A verdict falls due whenever the
window is full and `stride` frames have come since the last one. A batch long
enough to fill a window is judged by itself: the window is emptied where it
starts, so clips that have nothing to do with each other never mix, and what is
left over where it ends is judged too. Shorter batches, down to a camera's
single frames, slide on across each other.

Frames are numbered by their position in the stream; their features are kept
apart (`common.drift.frame_buffer`), so that entering costs the same whatever the window.

Cutting a batch into other blocks changes neither windows nor state.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import Self

from pydantic import Field, model_validator

from common.contracts.ids import Message
from common.drift.confirmation import Run
from common.errors import BadMessage

_STATE = struct.Struct("<qqq?qqd16s")
_FORMAT = 2
"""First byte of a stored state. Format 1, which version 0.1 wrote, is the same numbers without it."""


class WindowRule(Message):
    """How long a window is and how often it is judged, both in sampled frames."""

    frames: int = Field(ge=2)
    stride: int = Field(ge=1)

    @model_validator(mode="after")
    def _no_frame_unjudged(self) -> Self:
        # It also makes the first verdict due as soon as the window is full.
        if self.stride > self.frames:
            raise ValueError("the stride must not exceed the window, or frames would go unjudged")
        return self


@dataclass(frozen=True)
class WindowState:
    """What a stream remembers beside its latest frames: a few numbers, whatever its age.

    Attributes
    ----------
    position : frames that have ever entered
    opened : position at which the window was emptied last
    unjudged : frames since the last verdict, or since the window was emptied
    run : FAILs that go on, None after a PASS
    feature_spec : which feature spec the features are of, 16 bytes
    """

    position: int = 0
    opened: int = 0
    unjudged: int = 0
    run: Run | None = None
    feature_spec: bytes = bytes(16)

    def latest(self, rule: WindowRule) -> range:
        """Return the positions of the frames that windows to come may still reach back to."""
        return range(max(self.opened, self.position - rule.frames), self.position)

    def to_bytes(self) -> bytes:
        run = self.run or Run(0, 0, 0.0)
        failing = self.run is not None
        return bytes([_FORMAT]) + _STATE.pack(
            self.position, self.opened, self.unjudged, failing, run.since, run.stop, run.evidence, self.feature_spec
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> WindowState:
        """Read what `to_bytes` of this version or of 0.1 wrote; raise `BadMessage` for anything else."""
        numbers = data if len(data) == _STATE.size else data[1:]
        try:
            if len(data) > _STATE.size and data[0] != _FORMAT:
                raise BadMessage(
                    f"a stored window has format {data[0]}, this version reads up to {_FORMAT}: "
                    "it was written by a newer version; upgrade this process"
                )
            position, opened, unjudged, failing, since, stop, evidence, feature_spec = _STATE.unpack(numbers)
        except struct.error as error:
            raise BadMessage(f"a stored window cannot be read: {error}") from error
        return cls(position, opened, unjudged, Run(since, stop, evidence) if failing else None, feature_spec)

    def of_feature_spec(self, feature_spec: bytes) -> WindowState:
        """Return the state for features of `feature_spec`: those of another one cannot share a window with them."""
        return (
            self
            if self.feature_spec == feature_spec
            else WindowState(self.position, self.position, feature_spec=feature_spec)
        )


def advance(
    state: WindowState, rule: WindowRule, count: int, *, own_window: bool, starts: bool, ends: bool
) -> tuple[WindowState, tuple[range, ...]]:
    """Let the next frames enter, and return the new state and the windows that fell due, as positions.

    Parameters
    ----------
    count : consecutive frames of one batch, possibly none
    own_window : whether the batch fills a window by itself
    starts, ends : whether these frames are the first or last of their batch
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
    if own_window and ends and unjudged:
        judge(state.position + count)
    return replace(state, position=state.position + count, unjudged=unjudged), tuple(windows)
