"""Folders of champions and conditions: what no history and no champion names goes, everything else stays."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from common.contracts.conditions import ConditionRecord
from common.models.condition_records import drop_conditions
from common.models.folders import condition_folder, remove_orphans, remove_unfinished
from common.store import Store
from tests.common.builders import condition_record, record

LIVE, ORPHAN = condition_record("live"), condition_record("let go")


@pytest.fixture
def state_dir(tmp_path: Path, store: Store) -> Path:
    """A state folder whose model `vfi` has a version in the history, proved on one condition."""
    named = tmp_path / "champions" / "vfi" / "v2-1000"
    condition = folder_of(tmp_path, LIVE)
    proved_on = LIVE.model_copy(update={"path": str(condition)})
    promoted = record(1, model_path=str(named / "model"), conditions=(proved_on,))
    assert store.champions.promote(promoted, over=0)
    make(named), make(condition)
    return tmp_path


def folder_of(state_dir: Path, condition: ConditionRecord) -> Path:
    return condition_folder(state_dir, "vfi", condition.id)


def make(folder: Path, *, days: float = 2.0) -> Path:
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "weights.npz").touch()
    before = time.time() - days * 86_400
    os.utime(folder, (before, before))
    return folder


def test_an_old_folder_that_no_version_names_is_removed(store: Store, state_dir: Path) -> None:
    orphan = make(state_dir / "champions" / "vfi" / "v3-2000")
    assert remove_orphans(store.champions, state_dir) == [orphan.resolve()]
    assert not orphan.exists()
    assert (state_dir / "champions" / "vfi" / "v2-1000" / "model" / "weights.npz").is_file()


def test_an_old_folder_of_a_condition_that_no_champion_names_is_removed(store: Store, state_dir: Path) -> None:
    orphan = make(folder_of(state_dir, ORPHAN))
    assert remove_orphans(store.champions, state_dir) == [orphan]
    assert not orphan.exists()
    assert folder_of(state_dir, LIVE).is_dir()


def test_the_folder_of_a_condition_goes_once_the_champion_has_let_it_go(store: Store, state_dir: Path) -> None:
    """Older versions in the history name it still; a rollback takes over the champion's conditions, never theirs."""
    newer = record(2, parent=1, conditions=())
    assert remove_orphans(store.champions, state_dir) == []
    assert store.champions.promote(newer, over=1)
    assert remove_orphans(store.champions, state_dir) == [folder_of(state_dir, LIVE)]


def test_a_condition_that_was_dropped_has_a_folder_for_a_day(store: Store, state_dir: Path) -> None:
    make(folder_of(state_dir, ORPHAN), days=0.5)
    drop_conditions(store, "vfi", lambda condition: condition.id == LIVE.id)
    assert remove_orphans(store.champions, state_dir) == [folder_of(state_dir, LIVE)]
    assert folder_of(state_dir, ORPHAN).is_dir(), "of today"


def test_a_folder_of_today_stays_for_its_retraining_may_run(store: Store, state_dir: Path) -> None:
    make(state_dir / "champions" / "vfi" / "v3-2000", days=0.5)
    assert remove_orphans(store.champions, state_dir) == []


def test_nothing_is_removed_of_a_model_that_is_being_retrained(store: Store, state_dir: Path) -> None:
    make(state_dir / "champions" / "vfi" / "v3-2000"), make(folder_of(state_dir, ORPHAN))
    with store.champions.lease("vfi"):
        assert remove_orphans(store.champions, state_dir) == []
    assert len(remove_orphans(store.champions, state_dir)) == 2


def test_another_redis_that_knows_nothing_removes_nothing(store: Store, state_dir: Path) -> None:
    make(state_dir / "champions" / "vfi" / "v3-2000"), make(folder_of(state_dir, ORPHAN))
    store.client.flushall()
    assert remove_orphans(store.champions, state_dir) == []


def test_decisions_stay_and_half_written_ones_go(store: Store, state_dir: Path) -> None:
    decided = make(state_dir / "champions" / "vfi" / "d7-7000")
    broken_off = make(state_dir / "champions" / "vfi" / ".d8-8000.x7")
    condition = make(state_dir / "conditions" / "vfi" / f".{ORPHAN.id}.x7")
    assert remove_orphans(store.champions, state_dir) == [broken_off.resolve(), condition.resolve()]
    assert decided.is_dir()


def test_what_sentinel_did_not_make_stays(store: Store, state_dir: Path, tmp_path: Path) -> None:
    for models, link, file in (
        (state_dir / "champions" / "vfi", "v4-4000", "v5-5000"),
        (state_dir / "conditions" / "vfi", "a" * 32, "b" * 32),
    ):
        make(models / "my copy of v2")
        elsewhere = make(tmp_path / f"elsewhere of {models.parent.name}")
        (models / link).symlink_to(elsewhere)
        (models / file).touch()
        assert remove_orphans(store.champions, state_dir) == []
        assert (elsewhere / "model").is_dir()


def test_a_state_folder_without_champions_is_fine(store: Store, tmp_path: Path) -> None:
    assert remove_orphans(store.champions, tmp_path / "none") == []


# --- what a retraining that was killed has begun


def test_what_was_begun_and_is_named_by_nothing_goes_at_once(store: Store, state_dir: Path) -> None:
    versions, conditions = state_dir / "champions" / "vfi", state_dir / "conditions" / "vfi"
    mine = [versions / "v3-3000", versions / ".d7-7000.ab", versions / "d7-7000", conditions / f".{ORPHAN.id}.x"]
    others = [versions / "v4-4000", versions / "d6-6000", conditions / ("c" * 32)]
    for folder in (*mine, *others):
        make(folder, days=0.0)
    for name in ("v3-3000", "d7-7000", ORPHAN.id, "v2-1000", LIVE.id):  # the latter two became what is named
        store.champions.begin_folder("vfi", name)
    assert sorted(remove_unfinished(store.champions, state_dir, "vfi")) == sorted(path.resolve() for path in mine)
    assert not any(path.exists() for path in mine)
    assert all(path.is_dir() for path in (*others, versions / "v2-1000", folder_of(state_dir, LIVE)))
    assert store.champions.folders_begun("vfi") == set()
    assert remove_unfinished(store.champions, state_dir, "vfi") == []


def test_another_redis_takes_nothing_for_unfinished(store: Store, state_dir: Path) -> None:
    folder = make(state_dir / "champions" / "vfi" / "v3-3000", days=0.0)
    store.champions.begin_folder("vfi", folder.name)
    store.client.flushall()
    assert remove_unfinished(store.champions, state_dir, "vfi") == []
    assert folder.is_dir()
