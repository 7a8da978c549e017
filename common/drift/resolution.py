"""Resolution: whether a window's pictures have golden's size, and which columns cannot be judged if they do not.

Sharpness, noise and block borders are measured on single pixels: through more or fewer of them a healthy camera looks
broken. What does not depend on the number of pixels is judged as before, so that what a camera shows at another
resolution is still seen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.contracts.feature_groups import FeatureGroup
from common.contracts.verdicts import ResolutionChange
from common.drift.feature_groups import compared_names, compared_size, size_columns, sized_group
from common.drift.segment import Segment
from common.features import FeatureBlock

_TOLERANCE = 0.03  # natural log: encoders round sides to whole macroblocks, 1080 to 1088

Columns = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Resolution:
    """How the size of a window's pictures relates to golden's.

    Attributes
    ----------
    change : what it was and is; None: it is the same
    same_shape : whether the aspect ratio is the same
    """

    change: ResolutionChange | None = None
    same_shape: bool = True

    @classmethod
    def of(cls, groups: Sequence[FeatureGroup], segment: Segment, window: FeatureBlock) -> Resolution:
        """Compare the pictures of a window, of which any may have another size, with those of a segment."""
        group = sized_group(groups)
        medians = None if group is None else segment.groups[group.name].reference_median
        if group is None or medians is None:
            return cls()
        columns = size_columns(group)
        golden, sizes = medians[columns].astype(np.float64), window.groups[group.name][:, columns].astype(np.float64)
        if not (golden > 0).all() or not (sizes > 0).all():
            return cls()
        ratios = np.log(sizes / golden)
        other = np.flatnonzero((np.abs(ratios) > _TOLERANCE).any(axis=1))
        if not len(other):
            return cls()
        shapes = np.abs(ratios[:, 0] - ratios[:, 1])
        change = ResolutionChange(before=_whole(golden), now=_whole(sizes[other[-1]]))
        return cls(change, bool((shapes <= _TOLERANCE).all()))

    def not_judged(self, groups: Sequence[FeatureGroup]) -> Mapping[str, Columns]:
        """Return (f,) which compared columns of each group, by its name, cannot be judged at this size."""
        return {group.name: self._of_group(group) for group in groups}

    def _of_group(self, group: FeatureGroup) -> Columns:
        names = compared_names(group)
        if self.change is None or not names:
            return np.zeros(1 if not names else compared_size(group), np.bool_)
        left_out = {*group.scaled, *(() if self.same_shape else group.shaped)}
        return np.array([name in left_out for name in names], np.bool_)


def _whole(size: npt.NDArray[np.float64]) -> tuple[int, int]:
    width, height = (math.floor(side + 0.5) for side in size.tolist())
    return width, height
