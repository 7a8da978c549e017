"""How the compared columns of a failed window differ from the baseline: what a modality names the cause from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.contracts.verdicts import Cause


@dataclass(frozen=True)
class Shifts:
    """The columns that are judged by themselves, in the baseline and in the window; all arrays are (f,).

    Attributes
    ----------
    names : of the columns
    before : mean over the segment of the baseline
    now : mean over the window
    scores : drift scores, 0 to 1
    moved : whether the score exceeds the threshold
    failing_groups : names of the groups that fail the window, joint ones included
    """

    names: tuple[str, ...]
    before: npt.NDArray[np.float64]
    now: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    moved: npt.NDArray[np.bool_]
    failing_groups: frozenset[str]

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


Diagnose = Callable[[Shifts], Cause]
"""Names the most likely cause of a FAIL."""


def unnamed(_: Shifts) -> Cause:
    """Return UNKNOWN: for whoever wants to know whether a window fails, not why."""
    return Cause.UNKNOWN
