"""Diagnosis: rules that derive the cause of a FAIL from the columns that moved.

The order of the rules matters, because some faults imitate others: a dark
picture has less noise and less detail, a noisy one looks sharper, a compressed
one smoother. Faults that move many columns are therefore tested first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.contracts.verdicts import Cause
from common.drift.feature_groups import MOTION, REPEATED

_COVERED_DARK = 0.08  # share of the picture that turned dark and flat
_COVERED_FLAT = 0.25  # share that turned flat, dark or not; larger, because plain walls and sky are flat too
_REARRANGED = 0.10  # of the mean light: a cover changes where the light is, general darkness does not
_TINY = 1e-3
_DARKENED = 0.3  # natural log
_FROZEN_DROP = 1.5  # natural log: motion fell to less than a quarter
# Beyond these, a fault explains what it does to the columns of other faults. Natural logs; blockiness is a ratio.
_GROSS_BLUR, _GROSS_NOISE, _GROSS_BLOCKS = 0.8, 1.2, 1.0
_GROSS_CAST = 0.35  # natural log; clipping and fog shift the colour balance too, but by less


@dataclass(frozen=True)
class Shifts:
    """The columns of the quality group in the baseline and in the window; all attributes are (f,).

    Attributes
    ----------
    names : of the columns
    before : mean over the segment of the baseline
    now : mean over the window
    scores : drift scores, 0 to 1
    moved : whether the score exceeds the threshold
    """

    names: tuple[str, ...]
    before: npt.NDArray[np.float64]
    now: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    moved: npt.NDArray[np.bool_]

    def change(self, name: str) -> float:
        """Return the signed change of a column in its own unit; 0 if there is no such column."""
        return (
            float(self.now[self.names.index(name)] - self.before[self.names.index(name)]) if name in self.names else 0.0
        )

    def value(self, name: str) -> float:
        """Return the value of a column in the window; 0 if there is no such column."""
        return float(self.now[self.names.index(name)]) if name in self.names else 0.0

    def has_moved(self, name: str) -> bool:
        """Return whether there is such a column and it moved."""
        return name in self.names and bool(self.moved[self.names.index(name)])

    def fell(self, name: str) -> bool:
        """Return whether a column moved down."""
        return self.has_moved(name) and self.change(name) < 0

    def rose(self, name: str) -> bool:
        """Return whether a column moved up."""
        return self.has_moved(name) and self.change(name) > 0


def diagnose(shifts: Shifts, *, embedding_fails: bool) -> Cause:
    """Return the most likely cause of a failed window.

    Parameters
    ----------
    shifts : columns of the quality group
    embedding_fails : whether the embedding group fails the window
    """
    if shifts.rose("blackout"):
        return Cause.BLACK
    if _covered(shifts):
        return Cause.COVERED
    if shifts.rose(REPEATED) or (shifts.fell(MOTION) and shifts.change(MOTION) < -_FROZEN_DROP):
        return Cause.FROZEN
    if _rearranged(shifts):
        return Cause.NEW_CONTENT if _content_differs(shifts) else Cause.CAMERA_MOVED
    return (
        _gross_fault(shifts) or _light_fault(shifts) or _picture_fault(shifts) or _scene_change(shifts, embedding_fails)
    )


def _covered(shifts: Shifts) -> bool:
    """Return whether part of the picture turned flat while the rest kept its light."""
    if shifts.change("dark_area") < _COVERED_DARK and shifts.change("flat_area") < _COVERED_FLAT:
        return False
    if shifts.rose("clipped_bright") or shifts.rose("black_level"):
        return False
    if shifts.rose("layout_light") and shifts.change("layout_light") > _REARRANGED:
        return True
    before = shifts.value("white_level") - shifts.change("white_level")
    whites = math.log(max(shifts.value("white_level"), _TINY) / max(before, _TINY))
    return shifts.change("luma") < -_DARKENED and whites > shifts.change("luma") / 2


def _rearranged(shifts: Shifts) -> bool:
    """Return whether light and detail have changed places in a way that no fault of the picture explains."""
    return (
        shifts.rose("layout_light")
        and shifts.change("layout_light") > _REARRANGED
        and shifts.rose("layout_detail")
        and not shifts.rose("clipped_bright")
    )


def _content_differs(shifts: Shifts) -> bool:
    """Return whether colours, light or edges changed; they hardly do when the same camera is only turned."""
    return any(shifts.has_moved(name) for name in ("red_balance", "blue_balance", "saturation", "luma", "edge_peak"))


def _gross_fault(shifts: Shifts) -> Cause | None:
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


def _light_fault(shifts: Shifts) -> Cause | None:
    if shifts.rose("clipped_bright"):
        return Cause.OVER_EXPOSURE
    if shifts.rose("black_level") and shifts.change("contrast") < 0:
        return Cause.LOW_CONTRAST
    if shifts.rose("luma"):
        return Cause.OVER_EXPOSURE if shifts.change("contrast") >= 0 else Cause.LOW_CONTRAST
    return Cause.LOW_LIGHT if shifts.fell("luma") else None


def _picture_fault(shifts: Shifts) -> Cause | None:
    if shifts.rose("noise"):
        return Cause.NOISE
    if shifts.rose("blockiness"):
        return Cause.COMPRESSION
    if shifts.has_moved("red_balance") or shifts.has_moved("blue_balance"):
        return Cause.COLOUR_CAST
    if shifts.fell("edge_peak") or shifts.fell("edge_typical"):
        return Cause.BLUR
    return Cause.LOW_CONTRAST if shifts.fell("contrast") else None


def _scene_change(shifts: Shifts, embedding_fails: bool) -> Cause:
    # Blockiness falls when a picture is shifted, cropped or rescaled, for it no longer matches its encoder's grid.
    if shifts.rose("layout_light") or shifts.rose("layout_detail") or shifts.fell("blockiness"):
        return Cause.CAMERA_MOVED
    return Cause.NEW_CONTENT if embedding_fails or shifts.moved.any() else Cause.UNKNOWN
