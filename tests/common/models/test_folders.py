"""Folders of champions: what no history names goes, everything else stays."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from common.models.folders import remove_orphans
from common.store import Store
from tests.common.builders import record


@pytest.fixture
def state_dir(tmp_path: Path, store: Store) -> Path:
    """A state folder whose model `dock` has one version in the history."""
    named = tmp_path / "champions" / "dock" / "v2-1000"
    promoted = record(1, baseline_path=str(named / "baseline"), model_path=str(named / "model"))
    assert store.champions.promote(promoted, over=0, announce=None)
    make(named)
    return tmp_path


def make(folder: Path, *, days: float = 2.0) -> Path:
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "weights.npz").touch()
    before = time.time() - days * 86_400
    os.utime(folder, (before, before))
    return folder


def test_an_old_folder_that_no_version_names_is_removed(store: Store, state_dir: Path) -> None:
    orphan = make(state_dir / "champions" / "dock" / "v3-2000")
    assert remove_orphans(store.champions, state_dir) == [orphan.resolve()]
    assert not orphan.exists()
    assert (state_dir / "champions" / "dock" / "v2-1000" / "model" / "weights.npz").is_file()


def test_a_folder_of_today_stays_for_its_retraining_may_run(store: Store, state_dir: Path) -> None:
    make(state_dir / "champions" / "dock" / "v3-2000", days=0.5)
    assert remove_orphans(store.champions, state_dir) == []


def test_nothing_is_removed_of_a_model_that_is_being_retrained(store: Store, state_dir: Path) -> None:
    make(state_dir / "champions" / "dock" / "v3-2000")
    with store.champions.lease("dock"):
        assert remove_orphans(store.champions, state_dir) == []
    assert len(remove_orphans(store.champions, state_dir)) == 1


def test_another_redis_that_knows_nothing_removes_nothing(store: Store, state_dir: Path) -> None:
    make(state_dir / "champions" / "dock" / "v3-2000")
    store.client.flushall()
    assert remove_orphans(store.champions, state_dir) == []


def test_what_sentinel_did_not_make_stays(store: Store, state_dir: Path, tmp_path: Path) -> None:
    models = state_dir / "champions" / "dock"
    make(models / "my copy of v2")
    (models / "v4-4000").symlink_to(make(tmp_path / "elsewhere"))
    (models / "v5-5000").touch()
    assert remove_orphans(store.champions, state_dir) == []
    assert (tmp_path / "elsewhere" / "model").is_dir()


def test_a_state_folder_without_champions_is_fine(store: Store, tmp_path: Path) -> None:
    assert remove_orphans(store.champions, tmp_path / "none") == []
