"""A small baseline on disk for tests that need one and do not judge."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from common.baselines.storage import StoredBaseline, save_baseline
from common.contracts.zones import Zone
from tests.common.drift.footage import fitted, footage


def small_baseline(folder: Path, *, seed: int = 1, ignore: tuple[Zone, ...] = ()) -> StoredBaseline:
    """Save a baseline of made-up features to `folder`."""
    baseline = fitted(footage(200, seed=seed))
    spec = baseline.feature_spec.model_copy(update={"ignore": ignore})
    return save_baseline(replace(baseline, feature_spec=spec), folder)
