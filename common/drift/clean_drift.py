"""Clean drift: how far clean footage of fixed cameras moves away from a baseline of its own earlier or later part.

A modality may ship a table of it (`benchmarks.corpus` makes that of video). Three things follow from the table, for a
camera that is not in it:

- The minimum effect of each compared column: `EFFECT_MARGIN` times the `EFFECT_QUANTILE` of the distances of all clean
  windows, but at least `LEAST_SHARE` of the effect set by hand. A smaller bound would fail footage for what clean
  footage does.
- The ratios of each camera's clean windows: the largest distance over the columns, in units of bounds that are made
  without that camera. A window's p-value is its rank among them.
- The distance of each column beyond which a departure is gross: farther than that of any clean window, by a margin,
  and `GROSS_LEAST` times the effect set by hand.

Columns are known by their names. One that the table lacks, or that none of its windows moved, keeps its effect set by
hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from common.contracts.clean_drift import ClipDrift, DriftTable
from common.contracts.feature_groups import FeatureGroup, GroupKind
from common.drift.feature_groups import compared_minimum_effects, compared_names
from common.errors import BadCorpus

Floats = npt.NDArray[np.float64]

EFFECT_QUANTILE = 0.95
EFFECT_MARGIN = 1.25
"""Found with one camera left out: of 194 windows, 9 score above 0.30 by the bounds of the others at 1, 4 at 1.25, and 3
at 1.5 and beyond, of which two show nothing but a car."""
LEAST_SHARE = 0.75
"""Of the effects set by hand. With less, mild changes that no fault makes (a colour balance 3% off) fail. The effects
of views were found on footage, those of vitals let half and twice the rate pass: they are kept in full."""
NEVER = 1e9
"""A distance that no column reaches."""
GROSS_MARGIN = 1.5
"""Of a gross distance to the largest of any clean window. No camera went as far, by the limits of the others."""
GROSS_LEAST = 3.0
"""Of a gross distance to the effect set by hand: weather that no clip of the table shows moves light by more than they
show, and two windows can be over within seconds."""
_FEWEST_CAMERAS = 4  # of fewer, a quantile over all windows is that of one camera


@dataclass(frozen=True)
class CleanDrift:
    """A table of clean drift, with what follows from it."""

    table: DriftTable

    def __post_init__(self) -> None:
        """Raise `BadCorpus` if the table holds too few cameras, or rows of other lengths than it has columns."""
        if len(self.cameras) < _FEWEST_CAMERAS:
            raise BadCorpus(
                f"clean drift of {len(self.cameras)} cameras says nothing about others: give clips of "
                f"{_FEWEST_CAMERAS} fixed cameras or more, and name those of one camera alike (dock.mp4, dock-2.mp4)"
            )
        width = len(self.table.columns)
        if any(len(row) != width for clip in self.table.clips for row in (clip.own, *clip.windows)):
            raise BadCorpus(f"a row of the table of clean drift has not its {width} columns: make it again")

    @cached_property
    def cameras(self) -> tuple[str, ...]:
        """The cameras, in order of their first clip."""
        return tuple(dict.fromkeys(clip.camera for clip in self.table.clips))

    def without(self, camera: str) -> CleanDrift:
        """Return the table without one camera; raise `BadCorpus` if too few are left."""
        clips = tuple(clip for clip in self.table.clips if clip.camera != camera)
        return CleanDrift(self.table.model_copy(update={"clips": clips}))

    def applied(self, groups: Sequence[FeatureGroup]) -> tuple[FeatureGroup, ...]:
        """Return the groups with the minimum effects and the gross distances that follow from the table."""
        return tuple(
            group.model_copy(
                update={
                    "clean_effects": tuple(_rounded(self._effects(self.table.clips, [group]))),
                    "gross_distances": tuple(_rounded(self._gross(group))),
                }
            )
            for group in groups
        )

    def ratios(self, groups: Sequence[FeatureGroup]) -> tuple[float, ...]:
        """Return the ratios of all clean windows, each by bounds that are made without its camera, in rising order."""
        names = column_names(groups)
        found = []
        for camera in self.cameras:
            effects = self._effects([clip for clip in self.table.clips if clip.camera != camera], groups)
            for clip in self.table.clips:
                if clip.camera == camera:
                    bounds = np.fmax(self._columns([clip.own], names)[0], effects)
                    found.append(np.nanmax(self._columns(clip.windows, names) / bounds, axis=1))
        return tuple(_rounded(np.sort(np.concatenate(found))))

    def _effects(self, clips: Sequence[ClipDrift], groups: Sequence[FeatureGroup]) -> Floats:
        """Return (f,) minimum effects from some clips; those set by hand where these tell nothing."""
        by_hand = np.concatenate([compared_minimum_effects(group) for group in groups])
        shares = [1.0 if group.kind is GroupKind.VIEW or group.delivery else LEAST_SHARE for group in groups]
        least = np.concatenate(
            [compared_minimum_effects(group) * share for group, share in zip(groups, shares, strict=True)]
        )
        quantile = EFFECT_MARGIN * np.quantile(self._distances(clips, column_names(groups)), EFFECT_QUANTILE, axis=0)
        unknown = np.isnan(quantile) | (quantile == 0)  # a column that no clean window moved tells nothing of its size
        return np.asarray(np.where(unknown, by_hand, np.fmax(quantile, least)), np.float64)

    def _gross(self, group: FeatureGroup) -> Floats:
        """Return (f,) the distances beyond which columns are gross; `NEVER` for those that the table lacks."""
        largest = self._distances(self.table.clips, _names(group)).max(axis=0)
        least = compared_minimum_effects(group) * GROSS_LEAST
        return np.asarray(np.where(np.isnan(largest), NEVER, np.fmax(largest * GROSS_MARGIN, least)), np.float64)

    def _distances(self, clips: Sequence[ClipDrift], names: Sequence[str]) -> Floats:
        return self._columns([row for clip in clips for row in clip.windows], names)

    def _columns(self, rows: Sequence[Sequence[float]], names: Sequence[str]) -> Floats:
        """Return (n, f) of the rows the columns called `names`; NaN for those that the table lacks."""
        values = np.asarray(rows, np.float64).reshape(len(rows), len(self.table.columns))
        values = np.column_stack([values, np.full(len(rows), np.nan)])
        places = {name: place for place, name in enumerate(self.table.columns)}
        return values[:, [places.get(name, -1) for name in names]]


def column_names(groups: Sequence[FeatureGroup]) -> tuple[str, ...]:
    """Return the names of the compared columns of all groups, as the table has them: a joint group is one column."""
    return tuple(name for group in groups for name in _names(group))


def _names(group: FeatureGroup) -> tuple[str, ...]:
    return (group.name,) if group.kind is GroupKind.JOINT else compared_names(group)


def _rounded(values: Floats) -> list[float]:
    """Return values to four significant digits, so that equal tables give equal baselines everywhere."""
    return [float(f"{value:.4g}") for value in values]
