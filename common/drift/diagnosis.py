"""From what moved to why: rules in the order in which one fault hides another.

A dark picture has less noise and less detail too, a noisy one looks sharper, a
compressed one smoother. So the faults that move everything are asked for first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.contracts.verdicts import Cause
from common.drift.feature_groups import MOTION, REPEATED

_COVERED_AREA = 0.08  # share of the picture that went dark and lost its structure
_COVERED_LIGHT = 0.25  # share that lost its structure without going dark: plain walls and sky do, too
_REARRANGED = 0.10  # of the mean light: a cover changes where the light is, darkness everywhere does not
_TINY = 1e-3
_DARKENED = 0.3  # natural log
_FROZEN_DROP = 1.5  # natural log: movement fell to less than a quarter
# Gross faults move the columns of others too. Natural logs, but blockiness, which is a ratio.
_GROSS_BLUR, _GROSS_NOISE, _GROSS_BLOCKS = 0.8, 1.2, 1.0
_GROSS_CAST = 0.35  # natural log: clipping and fog move the balance too, by less than this


@dataclass(frozen=True)
class Shifts:
    """The quality group's columns before (baseline) and now (window), with their scores, and which of
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
    if shifts.rose("blackout"):
        return Cause.BLACK
    if _covered(shifts):
        return Cause.COVERED
    if shifts.rose(REPEATED) or (shifts.fell(MOTION) and shifts.change(MOTION) < -_FROZEN_DROP):
        return Cause.FROZEN
    if _rearranged(shifts):
        return Cause.NEW_CONTENT if _looks_different(shifts) else Cause.CAMERA_MOVED
    return _gross(shifts) or _exposure(shifts) or _picture(shifts) or _scene(shifts, embedding_fails)


def _covered(shifts: Shifts) -> bool:
    """Part of the picture went flat, and the rest kept its light."""
    if shifts.change("dark_area") < _COVERED_AREA and shifts.change("flat_area") < _COVERED_LIGHT:
        return False
    if shifts.rose("clipped_bright") or shifts.rose("black_level"):
        return False
    if shifts.rose("layout_light") and shifts.change("layout_light") > _REARRANGED:
        return True
    before = shifts.value("white_level") - shifts.change("white_level")
    whites = math.log(max(shifts.value("white_level"), _TINY) / max(before, _TINY))
    return shifts.change("luma") < -_DARKENED and whites > shifts.change("luma") / 2


def _rearranged(shifts: Shifts) -> bool:
    """Light and detail lie elsewhere, and nothing that a fault does to them explains it."""
    return (
        shifts.rose("layout_light")
        and shifts.change("layout_light") > _REARRANGED
        and shifts.rose("layout_detail")
        and not shifts.rose("clipped_bright")
    )


def _looks_different(shifts: Shifts) -> bool:
    """A camera that was turned sees the same colours, light and edges; other content has others."""
    return any(shifts.failed(name) for name in ("red_balance", "blue_balance", "saturation", "luma", "edge_peak"))


def _gross(shifts: Shifts) -> Cause | None:
    if min(shifts.change("edge_peak"), shifts.change("edge_typical")) < -_GROSS_BLUR:
        return Cause.BLUR
    if shifts.change("blockiness") > _GROSS_BLOCKS:
        return Cause.COMPRESSION
    if shifts.rose("noise") and shifts.change("noise") - max(shifts.change("luma"), 0.0) > _GROSS_NOISE:
        return Cause.NOISE
    cast = math.hypot(shifts.change("red_balance"), shifts.change("blue_balance"))
    if cast > _GROSS_CAST and not shifts.rose("clipped_bright"):
        return Cause.COLOUR_CAST
    return None


def _exposure(shifts: Shifts) -> Cause | None:
    if shifts.rose("clipped_bright"):
        return Cause.OVER_EXPOSURE
    if shifts.rose("black_level") and shifts.change("contrast") < 0:
        return Cause.LOW_CONTRAST
    if shifts.rose("luma"):
        return Cause.OVER_EXPOSURE if shifts.change("contrast") >= 0 else Cause.LOW_CONTRAST
    return Cause.LOW_LIGHT if shifts.fell("luma") else None


def _picture(shifts: Shifts) -> Cause | None:
    if shifts.rose("noise"):
        return Cause.NOISE
    if shifts.rose("blockiness"):
        return Cause.COMPRESSION
    if shifts.failed("red_balance") or shifts.failed("blue_balance"):
        return Cause.COLOUR_CAST
    if shifts.fell("edge_peak") or shifts.fell("edge_typical"):
        return Cause.BLUR
    return Cause.LOW_CONTRAST if shifts.fell("contrast") else None


def _scene(shifts: Shifts, embedding_fails: bool) -> Cause:
    # A picture that was shifted, cropped or rescaled no longer lies on the grid of its encoder's blocks.
    if shifts.rose("layout_light") or shifts.rose("layout_detail") or shifts.fell("blockiness"):
        return Cause.CAMERA_MOVED
    return Cause.NEW_CONTENT if embedding_fails or shifts.moved.any() else Cause.UNKNOWN
