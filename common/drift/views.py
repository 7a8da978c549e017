"""Views: where what stands still in small pictures of a camera lies, compared with its golden footage.

A sample of a group of kind VIEW holds width and height of a small grey picture, then its pixels row by row, then
zeros. The median over a part of a window keeps what stands still; neither noise nor what passes by is left in it. Each
part is registered to the golden view that it resembles most. If it is not found there, it is tried mirrored and turned
by quarters. Footage whose own views do not match each other, of a moving camera or a film, has no view: nothing is held
against it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import cv2
import numpy as np
import numpy.typing as npt

from common.contracts.feature_groups import VIEW_COLUMNS
from common.drift.registration import (
    NOWHERE,
    UNMOVED,
    Edges,
    Placement,
    Shift,
    correlation_in_place,
    find,
    place,
)
from common.errors import BadMessage

Array = npt.NDArray[np.float32]
Views = npt.NDArray[np.uint8]
"""(k, size) stored pictures: medians of golden footage."""

_PART = 24  # samples of which a picture is made: enough that noise and what passes by vanish
_MOST_PARTS = 256  # of a clip that are registered; more change no bound
_MOST_VIEWS = 4
_STEADY = (
    0.4  # correlation of golden views; fixed cameras have 0.6 to 0.99, most films and moving cameras less than 0.4
)
_FOUND = 0.35  # of the match between golden views: a picture that matches less shows another scene, or nothing
_FOUND_TURNED = 0.5  # the same of a mirrored or turned picture, which there are seven ways to find by chance
# Correlation of golden views from which on parts of them may be called hidden. It is 0.93 and more of cameras over
# roads, yards and halls; of a table on which hands move things, and of a road full of cars, 0.5 to 0.75.
_STEADY_IN_PARTS = 0.85
_MOST_OF_FIXED = {"shift": 10.0, "rotation": 2.0, "zoom": 2.0}  # bounds of a fixed camera, in minimum effects
_ROUNDED = 2  # pixels
_HEADER = 2  # columns before the pixels: width and height
_Orientation = tuple[bool, int]
"""Mirrored or not, then turned by so many quarters."""
_UPRIGHT: _Orientation = (False, 0)
_TURNED = tuple(way for way in itertools.product((False, True), range(4)) if way != _UPRIGHT)
_NEAR = 0.02  # of the width: from so near the fit ends in the same place wherever it starts
_CLEARLY = 0.1  # by which a move must raise the correlation; moves of 2% of the width raise it by 0.2 and more


@dataclass(frozen=True, eq=False)
class Golden:
    """What windows are registered to.

    Attributes
    ----------
    edges : of each golden view
    match : correlation of a golden view with that other one that it resembles most; day and night may differ
    steady_in_parts : whether the views are so alike that parts of one may be called hidden
    """

    edges: tuple[Edges, ...]
    match: float
    steady_in_parts: bool

    @classmethod
    def of(cls, views: Views) -> Self:
        """Return what is compared with, of views (k, size)."""
        edges = tuple(Edges.of(_picture(view)) for view in views)
        match = _match(edges)
        return cls(edges, match, match >= _STEADY_IN_PARTS)

    def without(self, number: int) -> Self:
        """Return it without one view; whether it is steady in parts is said of all of them."""
        edges = self.edges[:number] + self.edges[number + 1 :]
        return replace(self, edges=edges, match=_match(edges))


def golden_views(samples: Array) -> Views:
    """Return the views of a golden clip (n, size), spread over its time; none if it has no steady view."""
    count = max(2, min(len(samples) // _PART, _MOST_VIEWS))
    views = np.stack([_still(part) for part in np.array_split(samples, count)])
    if len({tuple(view[:_HEADER]) for view in views}) > 1 or Golden.of(views).match < _STEADY:
        return no_views(samples)
    return views


def still_view(samples: Array) -> Views:
    """Return (1, size): the view of one moment (n, size); (0, size) if nothing stands still in it."""
    return _still(samples)[None] if len(golden_views(samples)) else no_views(samples)


def no_views(samples: Array) -> Views:
    """Return (0, size): the views of a clip (n, size) that has none."""
    return np.zeros((0, samples.shape[1]), np.uint8)


def moves_by_itself(bounds: npt.NDArray[np.float64]) -> bool:
    """Return whether a camera moves of itself, so that no place of its view is normal.

    A road seen from a car looks like a fixed scene at first sight, but turns and grows. A mast that sways in the wind
    shifts the picture by a little.

    Parameters
    ----------
    bounds : (6,) of the columns `VIEW_COLUMNS`, in units of their minimum effects
    """
    return any(bounds[VIEW_COLUMNS.index(name)] > most for name, most in _MOST_OF_FIXED.items())


def view_columns(samples: Array, golden: Golden) -> Array:
    """Return the (n, 6) columns `VIEW_COLUMNS` of samples (n, size), held against golden views.

    All samples of a part have the same columns; without views they are all 0.
    """
    parts = np.array_split(samples, max(1, len(samples) // _PART))
    return _repeated([_columns(_still(part), golden) for part in parts], [len(part) for part in parts])


def placed_columns(views: Views, golden: Golden) -> Array:
    """Return the (k, 6) columns `VIEW_COLUMNS` of views (k, size), held against golden ones."""
    return np.array([_columns(view, golden) for view in views], np.float32).reshape(len(views), len(VIEW_COLUMNS))


def golden_columns(samples: Array, views: Views) -> Array:
    """Return the (n, 6) columns of the golden clip that `views` were made of; no part is held against its own view."""
    golden = Golden.of(views)
    quarters = np.array_split(np.arange(len(samples)), max(len(views), 1))
    rows, lengths = [], []
    for number, quarter in enumerate(quarters):
        others = golden.without(number)
        for part in np.array_split(quarter, max(1, min(len(quarter) // _PART, _MOST_PARTS // len(quarters)))):
            rows.append(_columns(_still(samples[part[:_PART]]), others))
            lengths.append(len(part))
    return _repeated(rows, lengths)


def _columns(sample: Views, golden: Golden) -> tuple[float, ...]:
    """Return `VIEW_COLUMNS` of one picture."""
    if not golden.edges:
        return (0.0,) * len(VIEW_COLUMNS)
    picture = _of_size(_picture(sample), golden.edges[0].size)
    found = _upright(picture, golden.edges)
    if found.match < _FOUND_TURNED * golden.match:
        (mirrored, quarters), turned = _best(picture, golden.edges, _TURNED)
        if turned.match >= max(_FOUND_TURNED * golden.match, found.match + _CLEARLY):
            turn = 90.0 * (quarters if quarters < 3 else -1)
            return turned.shift, turned.rotation + turn, turned.zoom, float(mirrored), 0.0, 0.0
    if found.match < _FOUND * golden.match:
        return 0.0, 0.0, 0.0, 0.0, 1.0, 0.0
    hidden = found.overlay.obscured() if golden.steady_in_parts and found.overlay else 0.0
    return found.shift, found.rotation, found.zoom, 0.0, 0.0, hidden


def _match(edges: Sequence[Edges]) -> float:
    """Return the median correlation of a view with that other one that it resembles most; 1 of a single one."""
    if len(edges) < 2:
        return 1.0
    best = [max(correlation_in_place(edge, other) for other in edges if other is not edge) for edge in edges]
    return float(np.median(best))


def _of_size(picture: Views, size: tuple[int, int]) -> Views:
    """Return a picture at golden's `size`, width and height, where its own differs by rounding alone."""
    width, height = size
    apart = max(abs(picture.shape[1] - width), abs(picture.shape[0] - height))
    if not 0 < apart <= _ROUNDED:
        return picture
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _upright(picture: Views, golden: Sequence[Edges]) -> Placement:
    """Return how a picture lies on the golden view that it resembles most, as far as it can be told.

    Where large things move, parts of the picture resemble others in another place. A move that explains the picture
    hardly better than standing still is none.
    """
    edges = Edges.of(picture)
    same = [view for view in golden if view.size == edges.size]
    if not same:
        return NOWHERE
    view, moved = _nearest(same, edges)
    found = place(view, edges, moved)
    if moved.length <= _NEAR * edges.size[0]:
        return found
    still = max(same, key=lambda other: correlation_in_place(other, edges))
    standing = place(still, edges, UNMOVED)
    return found if found.match > standing.match + _CLEARLY else standing


def _nearest(golden: Sequence[Edges], edges: Edges) -> tuple[Edges, Shift]:
    return max(((view, find(view, edges)) for view in golden), key=lambda row: row[1].response)


def _best(picture: Views, golden: Sequence[Edges], ways: tuple[_Orientation, ...]) -> tuple[_Orientation, Placement]:
    """Return the orientation in which a picture resembles a golden view most, and how it lies on that view."""
    tried = []
    for mirrored, quarters in ways:
        edges = Edges.of(np.rot90(picture[:, :: -1 if mirrored else 1], quarters))
        same = [view for view in golden if view.size == edges.size]
        if same:
            tried.append(((mirrored, quarters), edges, *_nearest(same, edges)))
    if not tried:
        return _UPRIGHT, NOWHERE
    way, edges, view, shift = max(tried, key=lambda row: row[3].response)
    return way, place(view, edges, shift)


def _still(samples: Array) -> Views:
    """Return the (size,) median of samples (n, size); of an even number the upper one of the two in the middle.

    Of samples of several sizes, such as those of a camera that is turned meanwhile, it is that of the most frequent.
    """
    sizes, of_size, count = np.unique(samples[:, :_HEADER], axis=0, return_inverse=True, return_counts=True)
    if len(sizes) > 1:
        samples = samples[of_size == int(count.argmax())]
    middle = len(samples) // 2
    # A picture's pixels over time are partitioned several times as fast where they lie beside each other.
    over_time = np.ascontiguousarray(samples.astype(np.uint8).T)
    return np.ascontiguousarray(np.partition(over_time, middle, axis=1)[:, middle])


def _picture(sample: Views) -> Views:
    """Return the (h, w) picture of a sample (size,)."""
    width, height = int(sample[0]), int(sample[1])
    if not 0 < width * height <= len(sample) - _HEADER:
        raise BadMessage(f"a view of {width} x {height} pixels is none: {len(sample) - _HEADER} are stored")
    return np.asarray(sample[_HEADER : _HEADER + width * height].reshape(height, width), np.uint8)


def _repeated(rows: list[tuple[float, ...]], lengths: list[int]) -> Array:
    return np.repeat(np.array(rows, np.float32), lengths, axis=0)
