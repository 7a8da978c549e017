"""Whether footage shows the view of golden footage: what stands still must stand where it stood.

A camera that was turned shows a scene that the judge may call new content, and a model interpolates it as well as any
other. It must not be learned: that is for a person to say. The median of a clip's frames keeps what stands still, and
neither noise nor what passes by. Its edges are compared by phase correlation, which light and colour hardly change.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.drift.registration import Edges, correlation_in_place, find

Frames = npt.NDArray[np.uint8]
"""(n, h, w, 3) RGB."""

_PART = 16  # frames of which a view is made: enough that noise and what passes by vanish
_MOST_PARTS = 4
_LARGEST_SHIFT = 0.012  # share of the width; views of one fixed camera lie within 0.001
_WOBBLE = 2.0  # times the shift between golden views, where that is more: a mast in the wind
# Of phase correlation, or half of that between golden views, where that is less: a table on which hands move things.
# It is 0.3 to 0.9 for one view under faults of severity 3, and below 0.1 for two views.
_LEAST_RESPONSE = 0.15
_STEADY = 0.3  # correlation of golden views; fixed cameras have 0.4 to 0.95, films and moving cameras at most 0.25
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class _Match:
    """How a view lies on another: shift in shares of the width, response of phase correlation, correlation in place."""

    shift: float
    response: float
    correlation: float


def why_elsewhere(frames: Frames, golden: Frames) -> str | None:
    """Return why footage does not show the view of golden footage; None if it does, or golden footage has no view.

    Parameters
    ----------
    frames : (n, h, w, 3) uint8, of the footage, in time order
    golden : (m, h, w, 3) uint8, in time order; of one clip or of several, of which the footage must match one
    """
    views = _views(golden)
    between = [_best([_match(view, other) for other in views if other is not view]) for view in views]
    if len(views) < 2 or float(np.median([match.correlation for match in between])) < _STEADY:
        return None
    least = min(_LEAST_RESPONSE, float(np.median([match.response for match in between])) / 2.0)
    largest = max(_LARGEST_SHIFT, _WOBBLE * float(np.median([match.shift for match in between])))
    for view in _views(frames):
        match = _best([_match(view, other) for other in views])
        if match.response < least:
            return (
                "what stands still in golden footage cannot be found in it: another scene, or a camera that was moved"
            )
        if match.shift > largest:
            return f"its view lies {match.shift:.1%} of the width beside that of golden footage: the camera was moved"
    return None


def _views(frames: Frames) -> list[Edges]:
    """Return the edges of what stands still in up to `_MOST_PARTS` parts of the footage."""
    count = min(max(len(frames) // _PART, 1), _MOST_PARTS)
    return [Edges.of(np.median(part, axis=0).astype(np.float32) @ _LUMA) for part in np.array_split(frames, count)]


def _match(view: Edges, other: Edges) -> _Match:
    moved = find(view, other)
    return _Match(moved.length / view.size[0], moved.response, correlation_in_place(view, other))


def _best(matches: list[_Match]) -> _Match:
    """Return the clearest match; of no view, one that matches nothing."""
    return max(matches, key=lambda match: match.response, default=_Match(1.0, 0.0, 0.0))
