"""A model gone bad on purpose, as `saboteur` makes footage go bad."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from common.models.vfi.model import Interpolator


def perturbed(model: Interpolator, share: float = 1.0, seed: int = 0) -> Interpolator:
    """Return a model with normal noise in each kernel, whose standard deviation is a share of the kernel's own."""
    numbers = np.random.default_rng(seed)
    weights = tuple(
        np.asarray(w + share * w.std() * numbers.standard_normal(w.shape), np.float32) if w.ndim > 1 else w
        for w in model.weights
    )
    return replace(model, weights=weights)
