"""One clip of a baseline, ready to hold a window against."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.drift.calibration import Compared, Null, null_of, widening
from common.drift.feature_groups import between_frames, quality_columns_of, quality_minimum_effects, reference_medians
from common.drift.manifest import ClipSummary
from common.drift.statistics import sort_reference
from common.features import FeatureBlock, TimeSource

Array = npt.NDArray[np.float32]

_MOST_FRAMES = 2000  # of a clip are kept, evenly spread: more move no quantile that matters and cost time a verdict
_MAD_TO_SIGMA = 1.4826  # of a normal variable
# Mean over the dimensions of W1 / spread between two samples of the same footage is seldom less (MEASURED: 0.28 at 20
# independent frames, 0.1 at 200). A bound below it would only say that the footage was still.
EMBEDDING_MINIMUM_EFFECT = 0.15
_SMALLEST_SPREAD = 1e-4
# What a clip too short for a null of its own borrows from the golden ones is not its own: leave it more room.
_BORROWED = 1.25
_TIMES_DIFFER_SECONDS = 1.0  # capture times and times within the source; less is rounding


@dataclass(frozen=True)
class Bounds:
    """What a group's columns do by themselves.

    Attributes
    ----------
    distance : (f,) Wasserstein distance that is explained
    size : (f,) independent frames that a window amounts to
    """

    distance: npt.NDArray[np.float64]
    size: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Segment:
    """One clip: its sorted features, their spreads, and its bounds.

    Attributes
    ----------
    embedding : (m, d) sorted along frames, in units of `embedding_spread`
    embedding_spread : (d,)
    quality : (m, f) columns of the quality group, sorted along frames, in their own units
    quality_spread : (f,), for messages: a reference_median deviation of each column
    reference_median : (q,) readings that tiles are compared with
    """

    summary: ClipSummary
    embedding: Array
    embedding_spread: Array
    quality: Array
    quality_spread: Array
    reference_median: Array
    embedding_bounds: Bounds
    quality_bounds: Bounds

    def scaled(self, embedding: Array) -> Array:
        """Return embeddings in units of the clip's spread."""
        return np.asarray(embedding / self.embedding_spread, np.float32)

    def quality_middle(self) -> Array:
        return np.asarray(self.quality[len(self.quality) // 2], np.float32)

    def quality_of(self, window: FeatureBlock, sensor_names: tuple[str, ...]) -> Array:
        """Return a window's (n, f) columns of the quality group, its tiles compared with the clip's."""
        return quality_columns_of(window.quality, between_frames(window), self.reference_median, sensor_names)


def fit_segment(
    name: str,
    block: FeatureBlock,
    *,
    window: int,
    names: tuple[str, ...],
    minimum_effects: tuple[float, ...],
    like: list[Segment] | None = None,
) -> Segment:
    """Learn one clip.

    Parameters
    ----------
    names, minimum_effects : of the sensors' readings
    like : golden segments to borrow from where the clip is too short; None for golden clips themselves
    """
    spread = np.maximum(block.embedding.std(axis=0), _SMALLEST_SPREAD)
    # A dimension that hardly ever fires must not turn its rare firing into a large distance.
    spread = np.maximum(spread, np.median(spread)).astype(np.float32)
    embedding = np.asarray(block.embedding / spread, np.float32)
    between, reference_median = between_frames(block), reference_medians(block)
    quality = quality_columns_of(block.quality, between, reference_median, names)
    smallest, still = quality_minimum_effects(names, minimum_effects), np.array([EMBEDDING_MINIMUM_EFFECT])

    count = len(block)
    null_e = null_of(
        count, window, lambda rest, piece: (embedding[rest], embedding[piece]), minimum_effect=still, pooled=True
    )
    null_q = null_of(count, window, _quality_pairs(block, between, names), minimum_effect=smallest, pooled=False)
    borrowed = _BORROWED * widening(count, window)
    summary = _summary(name, block, window, null_windows=len(null_e.kolmogorov) if null_e else 0, golden=like is None)
    return Segment(
        summary,
        sort_reference(_thin(embedding)),
        spread,
        sort_reference(_thin(quality)),
        _typical_spread(quality, smallest),
        reference_median,
        _bounds(null_e, still, np.zeros(1, np.bool_), [r.embedding_bounds for r in like or ()], borrowed),
        _bounds(null_q, smallest, np.ptp(quality, axis=0) == 0, [r.quality_bounds for r in like or ()], borrowed),
    )


def _quality_pairs(block: FeatureBlock, between: Array, names: tuple[str, ...]) -> Compared:
    """Return how a window and the rest of its clip become columns; tiles are compared with the rest's."""

    def compared(rest: npt.NDArray[np.bool_], piece: slice) -> tuple[Array, Array]:
        reference_median = np.median(block.quality[rest], axis=0).astype(np.float32)
        return (
            quality_columns_of(block.quality[rest], between[rest], reference_median, names),
            quality_columns_of(block.quality[piece], between[piece], reference_median, names),
        )

    return compared


def _summary(name: str, block: FeatureBlock, window: int, *, null_windows: int, golden: bool) -> ClipSummary:
    return ClipSummary(
        name=name,
        frames=len(block),
        seconds=_seconds(block),
        null_windows=null_windows,
        effective_windows=len(block) / window,
        golden=golden,
        taken_from=block.capture_time(0),
        taken_to=block.capture_time(-1),
        time_source=block.least_reliable_time_source,
    )


def _seconds(block: FeatureBlock) -> float:
    """Return how many seconds of the camera's life a clip covers."""
    # Times of several sources do not add up to a length.
    seconds = float(block.times.max() - block.times.min()) if len(block.sources) == 1 else float(len(block))
    # Stills have no times of their own, each counts as a second; where their capture times are known, those count.
    taken = float(np.nanmax(block.taken_at) - np.nanmin(block.taken_at)) if block.capture_time(0) is not None else 0.0
    reliable = block.least_reliable_time_source in {TimeSource.EVENT, TimeSource.EXIF, TimeSource.NAME}
    return taken if reliable and taken - seconds > _TIMES_DIFFER_SECONDS else seconds


def _bounds(
    null: Null | None,
    minimum_effect: npt.NDArray[np.float64],
    constant: npt.NDArray[np.bool_],
    like: list[Bounds],
    borrowed: float,
) -> Bounds:
    distances, sizes = [minimum_effect], []
    if null is not None:
        distances.append(null.bound)
        sizes.append(null.effective_sizes(constant))
    if like:
        distances.append(np.max([row.distance for row in like], axis=0) * borrowed)
        sizes.append(np.min([row.size for row in like], axis=0))
    return Bounds(np.max(distances, axis=0), np.min(sizes, axis=0))


def _typical_spread(quality: Array, minimum_effects: npt.NDArray[np.float64]) -> Array:
    middle = np.median(quality, axis=0)
    robust = _MAD_TO_SIGMA * np.median(np.abs(quality - middle), axis=0)
    return np.asarray(np.maximum(robust, minimum_effects / 2), np.float32)


def _thin(sample: Array) -> Array:
    if len(sample) <= _MOST_FRAMES:
        return sample
    return np.asarray(sample[np.linspace(0, len(sample) - 1, _MOST_FRAMES).round().astype(int)], np.float32)
