"""Cadence: how often samples come, against how often they came in golden footage.

A camera, or a recorder behind it, that shows every picture twice at twice the rate shows what it did before. So steps
from sample to sample are taken over as much time as in golden footage, not over one sample whatever its length.
"""

from __future__ import annotations

import numpy as np

from common.features import FeatureBlock

_FAR_APART_SECONDS = 5.0  # light that flickers or hunts swings faster; in between, the weather changes
_MOST_SAMPLES = 4  # that a step may span; a larger ratio is another sampling rather than pictures that are repeated


def interval_of(block: FeatureBlock) -> float | None:
    """Return the median time between consecutive samples of one source, s; None if every source is a single sample."""
    between = np.diff(block.times)[np.diff(block.source_index) == 0]
    positive = between[between > 0]
    return float(np.median(positive)) if len(positive) else None


def samples_per_step(golden: float | None, window: FeatureBlock) -> int:
    """Return how many samples of `window` last as long as one sample of golden footage, at least 1.

    Parameters
    ----------
    golden : `interval_of` golden footage; None: unknown, as in baselines of before 0.4
    """
    now = interval_of(window)
    if golden is None or now is None:
        return 1
    samples = round(golden / now)
    return samples if 1 < samples <= _MOST_SAMPLES else 1


def is_sequence(block: FeatureBlock) -> bool:
    """Return whether samples were taken so close together that what changes from one to the next is not the weather.

    Pictures every few minutes are no sequence. Samples of unknown capture times are taken for one.
    """
    between = np.diff(block.taken_at)
    between = between[np.isfinite(between)]
    return not len(between) or float(np.median(between)) <= _FAR_APART_SECONDS
