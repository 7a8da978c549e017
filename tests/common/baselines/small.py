"""A small baseline on disk for tests that need one and do not judge."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from common.baselines.storage import StoredBaseline, save_baseline
from tests.common.drift.footage import fitted, footage


def small_baseline(folder: Path, *, seed: int = 1, **spec: object) -> StoredBaseline:
    """Save a baseline of made-up features to `folder`; `spec` are fields of its feature spec."""
    baseline = fitted(footage(200, seed=seed))
    return save_baseline(replace(baseline, feature_spec=baseline.feature_spec.model_copy(update=spec)), folder)
