"""From what moved to why: rules in the order in which one fault hides another.

A dark picture has less noise and less detail too, a noisy one looks sharper, a
compressed one smoother. So the faults that move everything are asked for first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.contracts import Cause
from common.drift.views import MOTION

_BLACK_LUMA = 0.03  # of 1: nothing is to be seen
_COVERED_FLAT = 0.15  # share of the picture that lost its structure
_DIMMED_WHITE = 0.75  # of the white level before
_STEPS_DARKER = 0.04  # of 1
_FROZEN_DROP = 1.5  # natural log: movement fell to less than a quarter


@dataclass(frozen=True)
class Shifts:
    """The quality view's columns before (baseline) and now (window), with their scores, and which of
    them moved farther than the baseline explains; (q,) each."""

    names: tuple[str, ...]
    before: npt.NDArray[np.float64]
    now: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    moved: npt.NDArray[np.bool_]

    def change(self, name: str) -> float:
        """How far a column moved, in its own unit; 0 if there is none of that name."""
        return (
            float(self.now[self.names.index(name)] - self.before[self.names.index(name)]) if name in self.names else 0.0
        )

    def value(self, name: str) -> float:
        return float(self.now[self.names.index(name)]) if name in self.names else 0.0

    def failed(self, name: str) -> bool:
        return name in self.names and bool(self.moved[self.names.index(name)])

    def fell(self, name: str) -> bool:
        return self.failed(name) and self.change(name) < 0

    def rose(self, name: str) -> bool:
        return self.failed(name) and self.change(name) > 0


def diagnose(shifts: Shifts, *, embedding_fails: bool) -> Cause:
    """Return the cause of a failed window."""
    if shifts.value("luma") < _BLACK_LUMA and shifts.fell("luma"):
        return Cause.BLACK
    if shifts.fell(MOTION) and shifts.change(MOTION) < -_FROZEN_DROP:
        return Cause.FROZEN
    if (
        shifts.rose("flat_area")
        and shifts.change("flat_area") > _COVERED_FLAT
        and _light_moved(shifts)
        and not _dimmed(shifts)
    ):
        return Cause.COVERED
    return _exposure(shifts) or _picture(shifts) or _scene(shifts, embedding_fails)


def _light_moved(shifts: Shifts) -> bool:
    return any(shifts.failed(name) for name in shifts.names if name.startswith("light_"))


def _dimmed(shifts: Shifts) -> bool:
    """Whether the brightest parts went dark too, which a cover over one side leaves alone."""
    before = shifts.value("white_level") - shifts.change("white_level")
    return shifts.value("white_level") < _DIMMED_WHITE * before


def _exposure(shifts: Shifts) -> Cause | None:
    if shifts.rose("clipped_bright") and shifts.change("luma") > 0:
        return Cause.OVER_EXPOSURE
    if shifts.rose("black_level") and shifts.change("white_level") - shifts.change("black_level") < 0:
        return Cause.LOW_CONTRAST
    if shifts.fell("luma") or (shifts.fell("white_level") and shifts.change("luma") < -_STEPS_DARKER):
        return Cause.LOW_LIGHT
    return Cause.OVER_EXPOSURE if shifts.rose("luma") and shifts.change("white_level") > 0 else None


def _picture(shifts: Shifts) -> Cause | None:
    if shifts.rose("noise"):
        return Cause.NOISE
    if shifts.failed("red_balance") or shifts.failed("blue_balance"):
        return Cause.COLOUR_CAST
    if shifts.rose("blockiness"):
        return Cause.COMPRESSION
    if shifts.fell("sharpness") or shifts.fell("fine_detail") or shifts.fell("noise"):
        return Cause.BLUR
    return Cause.LOW_CONTRAST if shifts.fell("white_level") else None


def _scene(shifts: Shifts, embedding_fails: bool) -> Cause:
    if _light_moved(shifts):
        return Cause.CAMERA_MOVED if not embedding_fails else Cause.NEW_CONTENT
    return Cause.NEW_CONTENT if embedding_fails or shifts.moved.any() else Cause.UNKNOWN
