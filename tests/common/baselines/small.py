"""A small baseline on disk for tests that need one and do not judge."""

from __future__ import annotations

from pathlib import Path

from common.baselines.storage import StoredBaseline, save_baseline
from tests.common.drift.footage import fitted, footage


def small_baseline(folder: Path, *, seed: int = 1) -> StoredBaseline:
    """Save a baseline of made-up features to `folder`."""
    return save_baseline(fitted(footage(200, seed=seed)), folder)
