"""Causes that imitate each other are told apart."""

from __future__ import annotations

import numpy as np

from common.contracts.feature_groups import MOTION
from common.contracts.shifts import Shifts
from common.contracts.verdicts import Cause
from common.modalities.video.diagnosis import diagnose


def shifts(**changes: float) -> Shifts:
    """Return shifts of the named columns, each of which has moved by so much."""
    zeros, now = np.zeros(len(changes)), np.array(list(changes.values()))
    return Shifts(tuple(changes), zeros, now, np.ones(len(changes)), now != 0, frozenset({"quality"}))


def test_fog_makes_movements_smaller_and_is_not_named_frozen() -> None:
    assert diagnose(shifts(**{MOTION: -2.5, "contrast": -1.6, "black_level": 0.4})) is Cause.LOW_CONTRAST
    assert diagnose(shifts(**{MOTION: -2.5, "contrast": 0.0})) is Cause.FROZEN
    assert diagnose(shifts(**{MOTION: -2.5, "contrast": -0.3})) is Cause.FROZEN
