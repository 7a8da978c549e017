"""The sliding window of a stream, as a pure rule: frames in, windows that are due out.

Frames enter in the order of their stream. A verdict falls due whenever the
window is full and `stride` frames have come since the last one. A batch long
enough to fill a window is judged by itself: the window is emptied where it
starts, so clips that have nothing to do with each other never mix, and what is
left over where it ends is judged too. Shorter batches, down to a camera's
single frames, slide on across each other.

Cutting a batch into other blocks changes neither windows nor state.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import Self

from pydantic import Field, model_validator

from common.contracts import FeatureBlock, Message
from common.drift.alarms import Run
from common.errors import BadMessage

_HEADER = struct.Struct("<qq??qqd16s")


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
class Window:
    """A full window that is due: its features, and the position after its last frame in the stream."""

    features: FeatureBlock
    stop: int


@dataclass(frozen=True)
class WindowState:
    """What a stream remembers: at most one window of frames, whatever its age.

    Attributes
    ----------
    recent : the latest frames, at most one window; None before the first
    position : frames that have ever entered
    unjudged : frames since the last verdict, or since the window was emptied
    run : FAILs that go on, None after a PASS
    recipe : which recipe the features are of, 16 bytes
    """

    recent: FeatureBlock | None
    position: int
    unjudged: int
    run: Run | None = None
    recipe: bytes = bytes(16)

    @classmethod
    def empty(cls) -> WindowState:
        return cls(None, 0, 0)

    def to_bytes(self) -> bytes:
        run = self.run or Run(0, 0, 0.0)
        head = _HEADER.pack(
            self.position,
            self.unjudged,
            self.recent is not None,
            self.run is not None,
            run.since,
            run.stop,
            run.evidence,
            self.recipe,
        )
        return head + (self.recent.to_bytes() if self.recent is not None else b"")

    @classmethod
    def from_bytes(cls, data: bytes) -> WindowState:
        """Read what `to_bytes` wrote; raise `BadMessage` for anything else."""
        try:
            position, unjudged, full, failing, since, stop, evidence, recipe = _HEADER.unpack_from(data)
        except struct.error as error:
            raise BadMessage(f"a stored window cannot be read: {error}") from error
        recent = FeatureBlock.from_bytes(data[_HEADER.size :]) if full else None
        return cls(recent, position, unjudged, Run(since, stop, evidence) if failing else None, recipe)

    def of_recipe(self, recipe: bytes) -> WindowState:
        """Return the state for features of `recipe`: those of another one cannot share a window with them."""
        return self if self.recipe == recipe else WindowState(None, self.position, 0, None, recipe)


def advance(
    state: WindowState, rule: WindowRule, block: FeatureBlock, *, own_window: bool, starts: bool, ends: bool
) -> tuple[WindowState, tuple[Window, ...]]:
    """Let the frames of `block` enter, and return the new state and the windows that fell due.

    Parameters
    ----------
    block : consecutive frames of one batch, possibly none
    own_window : whether the batch fills a window by itself
    starts, ends : whether `block` is the first or last of its batch
    """
    if (own_window and starts) or (state.recent is not None and _widths(state.recent) != _widths(block)):
        # Features of another recipe cannot share a window either.
        state = WindowState(None, state.position, 0, state.run, state.recipe)
    frames = block if state.recent is None else FeatureBlock.concatenate([state.recent, block])
    held = len(frames) - len(block)
    windows = []
    unjudged = state.unjudged
    for entered in range(1, len(block) + 1):
        unjudged += 1
        closing = own_window and ends and entered == len(block)
        if held + entered >= rule.frames and (unjudged >= rule.stride or closing):
            windows.append(_cut(frames, held + entered, rule, state.position + entered))
            unjudged = 0
    if own_window and ends and len(block) == 0 and unjudged and held >= rule.frames:
        windows.append(_cut(frames, held, rule, state.position))
        unjudged = 0
    kept = frames[max(0, len(frames) - rule.frames) :]
    left = replace(state, recent=kept if len(kept) else None, position=state.position + len(block), unjudged=unjudged)
    return left, tuple(windows)


def _cut(frames: FeatureBlock, end: int, rule: WindowRule, stop: int) -> Window:
    return Window(frames[end - rule.frames : end], stop)


def _widths(block: FeatureBlock) -> tuple[int, int]:
    return block.embedding.shape[1], block.quality.shape[1]
