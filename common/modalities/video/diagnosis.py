"""Diagnosis: rules that derive the cause of a FAIL from the columns that moved.

The order of the rules matters, because some faults imitate others: a dark
picture has less noise and less detail, a noisy one looks sharper, a compressed
one smoother. Faults that move many columns are therefore tested first, after those
that have a column which little else moves. What befell packets and frames comes before
them, for no picture moves its columns. How the view lies on golden's says that a
camera was moved; where nothing of the view is found, it may as well be another scene,
or be drowned by another fault.
"""

from __future__ import annotations

import math

from common.contracts.feature_groups import MOTION, REPEATED
from common.contracts.shifts import Shifts
from common.contracts.verdicts import Cause
from common.modalities.video.groups import EMBEDDING, VITALS

_COVERED_DARK = 0.08  # share of the picture that turned dark and flat
_COVERED_FLAT = 0.25  # share that turned flat, dark or not; larger, because plain walls and sky are flat too
_TINY = 1e-3
_CLIPPED = 0.06  # share of the picture
_DARKENED = 0.3  # natural log
_DIMMED = 1.0  # natural log: whites that fell further are those of a dark picture, not of what a cover left
_FROZEN_DROP = 1.5  # natural log: motion fell to less than a quarter
# Beyond these, a fault explains what it does to the columns of other faults. Natural logs; blockiness is a ratio.
_GROSS_BLUR, _GROSS_NOISE, _GROSS_BLOCKS, _GROSS_DARKNESS = 0.8, 1.2, 1.0, 1.5
_HIDING_BLUR = 0.4  # natural log: what stands still is not found, or found beside its place
# What is lost has block borders too, and coarse compression leaves macroblocks that look lost: more of what it leaves.
_LOST_FOR_BLOCKS = 0.5
_ENLARGED = 0.12  # share of columns and rows; compression of the lowest quality repeats fewer
_WIDE_SWING = 0.1  # natural log: light beyond white that is dimmed to grey, and dark, look like many other faults
# Detail along one direction against that across it, natural log. Blur without a direction takes what a scene has of it,
# or turns it round, and beyond that changes it by less than a quarter of what it takes from the edges; a smear of three
# pixels changes it by 0.1 to 0.7.
_DIRECTED, _DIRECTED_SHARE, _REVERSED = 0.1, 0.25, 0.6
# Contrast far away over near, natural log: from which on it is fog's, at least this share of the loss of contrast, and
# from which on it is fog's even where no light moved beyond what weather does.
_DEPTH, _DEPTH_SHARE, _DEEP = 0.12, 0.5, 0.3
_GROSS_CAST = 0.35  # natural log; clipping and fog shift the colour balance too, but by less


def diagnose(shifts: Shifts) -> Cause:
    """Return the most likely cause of a failed window, from the columns of quality, view and vitals."""
    if shifts.rose("blackout"):
        return Cause.BLACK
    rules = (_lost_on_the_way, _unsteady_light, _signal_fault, _nothing_seen, _other_view, _swinging_light, *_PICTURE)
    return next((cause for rule in rules if (cause := rule(shifts))), None) or _scene_change(shifts)


def _lost_on_the_way(shifts: Shifts) -> Cause | None:
    """Return what befell packets or whole frames: it moves columns of the picture too, and no picture moves these."""
    if shifts.rose("decode_errors"):
        return Cause.PACKET_LOSS
    return Cause.MISSING_FRAMES if shifts.rose("missing_frames") or shifts.has_moved("gap") else None


def _signal_fault(shifts: Shifts) -> Cause | None:
    """Return what encoder, network or decoder did that leaves a pattern of its own."""
    blocks = shifts.change("blockiness")
    if shifts.rose("packet_loss") and shifts.change("packet_loss") > blocks * _LOST_FOR_BLOCKS:
        return Cause.PACKET_LOSS
    # Coarse compression repeats a few columns, and borders of its blocks stand out; an enlarged picture repeats more.
    if shifts.rose("pixelation") and (blocks < _GROSS_BLOCKS or shifts.change("pixelation") > _ENLARGED):
        return Cause.PIXELATION
    return None


def _unsteady_light(shifts: Shifts) -> Cause | None:
    """Return how the light jumps from frame to frame, by rows or as a whole, or swings widely."""
    step, uneven, swing = (shifts.change(name) for name in ("flicker", "banding", "light_swing"))
    if shifts.rose("banding") and uneven > step:
        return Cause.BANDING
    if shifts.rose("flicker") and step > swing:
        return Cause.FLICKER
    return _swinging_light(shifts) if swing > _WIDE_SWING else None


def _swinging_light(shifts: Shifts) -> Cause | None:
    return Cause.HUNTING_EXPOSURE if shifts.rose("light_swing") else None


def _nothing_seen(shifts: Shifts) -> Cause | None:
    if _covered(shifts):
        return Cause.COVERED
    return Cause.FROZEN if shifts.rose(REPEATED) or _stopped(shifts) else None


def _stopped(shifts: Shifts) -> bool:
    """Return whether nothing moves any more; fog and darkness make movements smaller, but only with the contrast."""
    faded = min(shifts.change("contrast"), 0.0)
    return shifts.fell(MOTION) and shifts.change(MOTION) - faded < -_FROZEN_DROP


def _clips(shifts: Shifts) -> bool:
    """Return whether more of the picture is white, by less than would fail a window by itself."""
    return shifts.change("clipped_bright") > _CLIPPED


def _covered(shifts: Shifts) -> bool:
    """Return whether part of the picture turned flat while the rest kept its light."""
    if shifts.change("dark_area") < _COVERED_DARK and shifts.change("flat_area") < _COVERED_FLAT:
        return False
    if _clips(shifts) or shifts.rose("black_level"):
        return False
    before = shifts.value("white_level") - shifts.change("white_level")
    whites = math.log(max(shifts.value("white_level"), _TINY) / max(before, _TINY))
    hidden = shifts.rose("lost") and whites > -_DIMMED
    if hidden or (shifts.change("luma") > -_DARKENED and shifts.change("dark_area") > _COVERED_DARK):
        return not _drowned(shifts)
    return shifts.change("luma") < -_DARKENED and whites > shifts.change("luma") / 2


def _other_view(shifts: Shifts) -> Cause | None:
    """Return why what stands still is not where it stood, unless something hides it."""
    if _drowned(shifts):
        return None
    if any(shifts.has_moved(name) for name in ("shift", "rotation", "zoom", "mirrored")):
        return Cause.CAMERA_MOVED
    if shifts.rose("lost") and not _clips(shifts) and shifts.change("luma") > -_GROSS_DARKNESS:
        return Cause.NEW_CONTENT if _content_differs(shifts) else Cause.CAMERA_MOVED
    return None


def _content_differs(shifts: Shifts) -> bool:
    """Return whether colours, light or edges changed; they hardly do when the same camera is only turned."""
    return any(shifts.has_moved(name) for name in ("red_balance", "blue_balance", "saturation", "luma", "edge_peak"))


def _drowned(shifts: Shifts) -> bool:
    """Return whether blur, blocks or noise are so strong that they hide what stands still."""
    return shifts.change("edge_peak") < -_HIDING_BLUR or _gross_fault(shifts) in {Cause.COMPRESSION, Cause.NOISE}


def _gross_fault(shifts: Shifts) -> Cause | None:
    if min(shifts.change("edge_peak"), shifts.change("edge_typical")) < -_GROSS_BLUR:
        return _blur(shifts)
    if shifts.change("blockiness") > _GROSS_BLOCKS:
        return Cause.COMPRESSION
    if shifts.rose("noise") and shifts.change("noise") - max(shifts.change("luma"), 0.0) > _GROSS_NOISE:
        return Cause.NOISE
    cast = math.hypot(shifts.change("red_balance"), shifts.change("blue_balance"))
    if cast > _GROSS_CAST and not _clips(shifts):
        return Cause.COLOUR_CAST
    return None


def _blur(shifts: Shifts) -> Cause:
    """Return which blur it is."""
    return Cause.MOTION_BLUR if _smeared(shifts) else Cause.BLUR


def _smeared(shifts: Shifts) -> bool:
    """Return whether detail is lost, and most of it in one direction."""
    lost = -min(shifts.change("edge_peak"), shifts.change("edge_typical"))
    return lost > 0 and _direction(shifts) > max(_DIRECTED, _DIRECTED_SHARE * lost)


def _direction(shifts: Shifts) -> float:
    """Return how far the direction of detail moved, beyond what blur does to it: a part of golden's, even reversed."""
    now = complex(shifts.value("direction_across"), shifts.value("direction_diagonal"))
    before = now - complex(shifts.change("direction_across"), shifts.change("direction_diagonal"))
    left = (now * before.conjugate()).real / abs(before) ** 2 if before else 0.0
    return abs(now - min(max(left, -_REVERSED), 1.0) * before)


def _loss_of_contrast(shifts: Shifts) -> Cause:
    """Return whether contrast is lost far away above all."""
    far, everywhere = shifts.change("contrast_depth"), min(shifts.change("contrast"), 0.0)
    return Cause.FOG if far < min(-_DEPTH, _DEPTH_SHARE * everywhere) else Cause.LOW_CONTRAST


def _soiled(shifts: Shifts) -> Cause | None:
    """Return whether parts of what stands still are hidden, unless light says by what: fog hides what is far away."""
    if not shifts.rose("obscured") or _clips(shifts):
        return None
    veiled = shifts.rose("luma") or shifts.rose("black_level")
    return Cause.FOG if veiled and _loss_of_contrast(shifts) is Cause.FOG else Cause.SOILED


def _light_fault(shifts: Shifts) -> Cause | None:
    if _clips(shifts):
        return Cause.OVER_EXPOSURE
    if shifts.rose("black_level") and shifts.change("contrast") < 0:
        return _loss_of_contrast(shifts)
    if shifts.rose("luma"):
        return Cause.OVER_EXPOSURE if shifts.change("contrast") >= 0 else _loss_of_contrast(shifts)
    return Cause.LOW_LIGHT if shifts.fell("luma") else None


def _picture_fault(shifts: Shifts) -> Cause | None:
    if shifts.rose("noise"):
        return Cause.NOISE
    if shifts.rose("blockiness"):
        return Cause.COMPRESSION
    if any(shifts.has_moved(name) for name in ("red_balance", "blue_balance", "saturation")):
        return Cause.COLOUR_CAST
    if shifts.fell("edge_peak") or shifts.fell("edge_typical"):
        return _blur(shifts)
    if (shifts.has_moved("direction_across") or shifts.has_moved("direction_diagonal")) and _smeared(shifts):
        return Cause.MOTION_BLUR
    return _loss_of_contrast(shifts) if shifts.fell("contrast") or _hides_what_is_far(shifts) else None


def _hides_what_is_far(shifts: Shifts) -> bool:
    lighter = shifts.change("luma") > _TINY and shifts.change("contrast") < 0
    return lighter and shifts.change("contrast_depth") < -_DEEP


_PICTURE = (_gross_fault, _soiled, _light_fault, _picture_fault)


def _scene_change(shifts: Shifts) -> Cause:
    if shifts.failing_groups == {VITALS}:
        return Cause.ENCODER
    # Blockiness falls when a picture is shifted, cropped or rescaled, for it no longer matches its encoder's grid.
    if shifts.rose("lost") or shifts.fell("blockiness"):
        return Cause.CAMERA_MOVED
    return Cause.NEW_CONTENT if EMBEDDING in shifts.failing_groups or shifts.moved.any() else Cause.UNKNOWN
