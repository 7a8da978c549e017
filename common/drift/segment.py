"""A segment: one clip of a baseline, prepared for comparison with windows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.drift.calibration import Comparison, Null, fit_null
from common.drift.feature_groups import between_frames, quality_columns_of, quality_minimum_effects, reference_medians
from common.drift.manifest import ClipSummary
from common.drift.statistics import sort_reference
from common.errors import BaselineTooShort
from common.features import FeatureBlock, TimeSource

Array = npt.NDArray[np.float32]

_MAX_FRAMES = 2000  # kept per clip, evenly spread: more change no relevant quantile and slow down each verdict
_MAD_TO_SIGMA = 1.4826  # median absolute deviation to standard deviation, for a normal variable
# The distance between two samples of the same footage, W1 / spread averaged over the dimensions, is seldom smaller
# (MEASURED: 0.28 at 20 independent frames, 0.1 at 200). A smaller bound would only reflect that the footage was still.
EMBEDDING_MINIMUM_EFFECT = 0.15
_MIN_SPREAD = 1e-4
_TIMES_DIFFER_SECONDS = 1.0  # between capture times and times in the source; smaller differences are rounding


@dataclass(frozen=True)
class Bounds:
    """How far the columns of a group vary by themselves; f = 1 for the embedding, whose columns are averaged.

    Attributes
    ----------
    distance : (f,) Wasserstein distance that the clip's own variation explains
    size : (f,) effective sample size of a window: how many independent frames it is worth
    """

    distance: npt.NDArray[np.float64]
    size: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Segment:
    """One clip: its sorted features, their spreads, and its bounds.

    Attributes
    ----------
    summary : name and length of the clip
    embedding : (m, d) each column sorted, in units of `embedding_spread`
    embedding_spread : (d,) standard deviation of each dimension, but no less than their median
    quality : (m, f) columns of the quality group, each sorted, in their own units
    quality_spread : (f,) typical deviation of each column, the unit of the shifts in a verdict
    reference_median : (q,) median of each reading over the clip; tiles are compared with it
    embedding_bounds, quality_bounds : of the two groups
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
        """Return embeddings (n, d) in units of the clip's spread."""
        return np.asarray(embedding / self.embedding_spread, np.float32)

    def quality_middle(self) -> Array:
        """Return the (f,) medians of the quality columns."""
        return np.asarray(self.quality[len(self.quality) // 2], np.float32)

    def quality_of(self, window: FeatureBlock, sensor_names: tuple[str, ...]) -> Array:
        """Return a window's (n, f) columns of the quality group; its tiles are compared with the clip's."""
        return quality_columns_of(window.quality, between_frames(window), self.reference_median, sensor_names)


def fit_segment(
    name: str,
    block: FeatureBlock,
    *,
    window: int,
    names: tuple[str, ...],
    minimum_effects: tuple[float, ...],
    within: Segment | None = None,
) -> Segment:
    """Return the segment of one clip.

    Parameters
    ----------
    name : of the clip
    block : its features, frames in order
    window : frames per window
    names, minimum_effects : (q,) of the sensors' readings
    within : a golden segment; the new segment's bounds, of a condition, are then nowhere wider than its

    Raises
    ------
    BaselineTooShort
        If it is too short to compare a window with the rest of it.
    BadMessage
        If features are not finite.
    """
    spread = np.maximum(block.embedding.std(axis=0), _MIN_SPREAD)
    # Otherwise a dimension that is zero in nearly all frames would give a large distance whenever it is not.
    spread = np.maximum(spread, np.median(spread)).astype(np.float32)
    if within is not None:
        spread = np.minimum(spread, within.embedding_spread)
    embedding = np.asarray(block.embedding / spread, np.float32)
    between, reference_median = between_frames(block), reference_medians(block)
    quality = quality_columns_of(block.quality, between, reference_median, names)
    smallest, still = quality_minimum_effects(names, minimum_effects), np.array([EMBEDDING_MINIMUM_EFFECT])

    count = len(block)
    null_e = fit_null(
        count, window, lambda rest, inside: (embedding[rest], embedding[inside]), minimum_effect=still, pooled=True
    )
    null_q = fit_null(count, window, _quality_comparison(block, between, names), minimum_effect=smallest, pooled=False)
    if null_e is None or null_q is None:
        raise BaselineTooShort(f"{name} has {count} sampled frames: too few for a window of {window} and a rest")
    summary = _summary(name, block, window, null_windows=len(null_e.kolmogorov))
    return Segment(
        summary,
        sort_reference(_thin(embedding)),
        spread,
        sort_reference(_thin(quality)),
        _typical_spread(quality, smallest),
        reference_median,
        _bounds(null_e, still, np.zeros(1, np.bool_), within.embedding_bounds if within else None),
        _bounds(null_q, smallest, np.ptp(quality, axis=0) == 0, within.quality_bounds if within else None),
    )


def _quality_comparison(block: FeatureBlock, between: Array, names: tuple[str, ...]) -> Comparison:
    """Return the function that makes quality columns of the rest and of a window, with reference medians of the rest.

    The medians must not include the window: a window that is judged later is not part of them either.
    """

    def comparison(rest: npt.NDArray[np.bool_], inside: slice) -> tuple[Array, Array]:
        reference_median = np.median(block.quality[rest], axis=0).astype(np.float32)
        return (
            quality_columns_of(block.quality[rest], between[rest], reference_median, names),
            quality_columns_of(block.quality[inside], between[inside], reference_median, names),
        )

    return comparison


def _summary(name: str, block: FeatureBlock, window: int, *, null_windows: int) -> ClipSummary:
    return ClipSummary(
        name=name,
        frames=len(block),
        seconds=_seconds(block),
        null_windows=null_windows,
        effective_windows=len(block) / window,
        golden=True,
        taken_from=block.capture_time(0),
        taken_to=block.capture_time(-1),
        time_source=block.least_reliable_time_source,
    )


def _seconds(block: FeatureBlock) -> float:
    """Return the time that a clip covers, in seconds."""
    # Times start anew with each source, so over several sources they give no length: one second per frame then.
    seconds = float(block.times.max() - block.times.min()) if len(block.sources) == 1 else float(len(block))
    # Stills have no timestamps and count as one second each; if their capture times are known, these are used instead.
    taken = float(np.nanmax(block.taken_at) - np.nanmin(block.taken_at)) if block.capture_time(0) is not None else 0.0
    reliable = block.least_reliable_time_source in {TimeSource.EVENT, TimeSource.EXIF, TimeSource.NAME}
    return taken if reliable and taken - seconds > _TIMES_DIFFER_SECONDS else seconds


def _bounds(
    null: Null,
    minimum_effect: npt.NDArray[np.float64],
    constant: npt.NDArray[np.bool_],
    within: Bounds | None,
) -> Bounds:
    """Return the bounds of a clip's own null, no tighter than the minimum effect and nowhere wider than `within`."""
    own = Bounds(np.maximum(minimum_effect, null.bound), null.effective_sizes(constant))
    if within is None:
        return own
    return Bounds(np.minimum(own.distance, within.distance), np.maximum(own.size, within.size))


def _typical_spread(quality: Array, minimum_effects: npt.NDArray[np.float64]) -> Array:
    """Return (f,) robust standard deviations, but no less than half the minimum effects."""
    middle = np.median(quality, axis=0)
    robust = _MAD_TO_SIGMA * np.median(np.abs(quality - middle), axis=0)
    return np.asarray(np.maximum(robust, minimum_effects / 2), np.float32)


def _thin(sample: Array) -> Array:
    if len(sample) <= _MAX_FRAMES:
        return sample
    return np.asarray(sample[np.linspace(0, len(sample) - 1, _MAX_FRAMES).round().astype(int)], np.float32)
