"""Converted backbones that tests share: a conversion takes longer than most tests, and equal ones are equal."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from common.backbones.cache import cache_folder


def share_backbones(tmp_path_factory: pytest.TempPathFactory, state_dir: Path) -> None:
    """Let `state_dir` keep its converted backbones in one folder with all others that say so, of all test processes.

    What wants a backbone that is not there yet converts it, as ever.
    """
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "backbones"
    shared.mkdir(exist_ok=True)
    own = cache_folder(state_dir)
    own.parent.mkdir(parents=True, exist_ok=True)
    own.symlink_to(shared, target_is_directory=True)
