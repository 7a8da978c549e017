"""What stays in the folder of posted files, and for how long."""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path

import pytest

from common.contracts.batches import FrameBatch
from common.settings import Settings
from common.store import Store, keys
from producers import spooled as shared_spool
from producers.spool import Spool, SpoolFull
from tests.common.builders import batch

RETENTION = 900


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", most_bytes=10_000, data_retention=RETENTION)


def spooled(spool: Spool, store: Store, name: str, *, size: int = 100, old: bool = True) -> tuple[Path, FrameBatch]:
    """Put a file of a registered batch into the spool, which came long ago."""
    work = batch("dock", name=name)
    path = spool.new_file("dock", work.id, ".png")
    spool.store(path, bytes(size))
    store.batches.keep_data("dock", work.id, path.name.encode())
    store.batches.register(work)
    store.batches.hold_data("dock", work.id)
    if old:
        long_ago = time.time() - 10_000
        os.utime(path, (long_ago, long_ago))
    return path, work


def judge(store: Store, work: FrameBatch, seconds: int) -> None:
    """Let what is kept of a batch run out in `seconds`, as a commit does."""
    store.client.expire(keys.stream_key("dock", "data", work.id), seconds)


def test_a_file_stays_until_its_batch_is_judged_and_what_is_kept_of_it_runs_out(spool: Spool, store: Store) -> None:
    path, work = spooled(spool, store, "a")
    assert (spool.sweep(store), path.exists()) == (0, True)
    judge(store, work, RETENTION)
    assert (spool.sweep(store), path.exists()) == (0, True)
    judge(store, work, 0)
    assert (spool.sweep(store), path.exists()) == (1, False)


@pytest.mark.parametrize("large", [False, True])
def test_a_file_that_is_stored_outlives_a_loss_of_power(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    """Nobody can cut the power here, so this looks at what the disk is told to keep, and when."""
    path, kept = spool.new_file("dock", "ab" * 16, ".png"), dict[int, bool]()
    data: bytes | Path = b"x"
    if large:
        data = spool.unfinished_file()
        data.write_bytes(b"x")
    sync = os.fsync

    def noted(file: int) -> None:
        kept[os.fstat(file).st_ino] = path.exists()
        sync(file)

    monkeypatch.setattr(os, "fsync", noted)
    spool.store(path, data)
    folders = (path.parent, path.parent.parent)
    assert kept == {path.stat().st_ino: False} | {folder.stat().st_ino: True for folder in folders}


def test_a_file_that_no_batch_came_of_goes_once_nobody_can_be_accepting_it(spool: Spool, store: Store) -> None:
    path = spool.new_file("dock", "ab" * 16, ".png")
    spool.store(path, b"x")
    store.batches.keep_data("dock", "ab" * 16, b"")
    part = spool.unfinished_file()
    part.write_bytes(b"x")
    assert spool.sweep(store) == 0
    long_ago = time.time() - 10_000
    for file in (path, part):
        os.utime(file, (long_ago, long_ago))
    assert (spool.sweep(store), path.exists(), part.exists()) == (2, False, False)


def test_files_of_a_stream_that_was_forgotten_go(spool: Spool, store: Store) -> None:
    path, _ = spooled(spool, store, "a")
    store.forgetting.forget("dock")
    assert (spool.sweep(store), path.exists()) == (1, False)


def test_no_more_comes_in_than_there_is_room_for_and_a_restart_knows_what_is_there(
    spool: Spool, store: Store, tmp_path: Path
) -> None:
    spooled(spool, store, "a", size=6_000)
    with spool.receiving() as first, spool.receiving() as second:
        first.take(3_000)
        with pytest.raises(SpoolFull):
            second.take(2_000)
        second.take(1_000)
    again = Spool(tmp_path / "spool", most_bytes=10_000, data_retention=RETENTION)
    with again.receiving() as room:
        room.take(4_000)
        with pytest.raises(SpoolFull):
            room.take(1)


def test_where_there_is_little_room_judged_files_go_first_and_others_never(spool: Spool, store: Store) -> None:
    waits, _ = spooled(spool, store, "a", size=6_000, old=False)
    later, later_work = spooled(spool, store, "b", size=1_500, old=False)
    sooner, sooner_work = spooled(spool, store, "c", size=2_000, old=False)
    dead, dead_work = spooled(spool, store, "d", size=100)
    judge(store, later_work, 800)
    judge(store, sooner_work, 700)
    judge(store, dead_work, 100_000)  # it was given up, and may be retried
    assert spool.sweep(store) == 2, "more than three quarters are left after the first"
    assert [path.exists() for path in (waits, later, sooner, dead)] == [True, False, False, True]
    with spool.receiving() as room:
        room.take(3_900)


def test_two_processes_that_sweep_at_once_remove_no_more_than_one_would(
    spool: Spool, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spooled(spool, store, "a", size=6_000, old=False)
    later, later_work = spooled(spool, store, "b", size=1_500, old=False)
    sooner, sooner_work = spooled(spool, store, "c", size=2_000, old=False)
    judge(store, later_work, 800)
    judge(store, sooner_work, 700)
    other = Spool(tmp_path / "spool", most_bytes=10_000, data_retention=RETENTION)
    remove = other.remove

    def too_late(path: Path) -> None:
        spool.sweep(store)
        remove(path)

    monkeypatch.setattr(other, "remove", too_late)
    other.sweep(store)
    assert (sooner.exists(), later.exists()) == (False, True)


def test_what_others_keep_beside_the_posted_files_is_not_swept(settings: Settings, store: Store) -> None:
    spool = Spool(settings.posted_dir, most_bytes=10_000, data_retention=RETENTION)
    beside = settings.state_dir / "spool" / "live" / "a.jpg"
    beside.parent.mkdir(parents=True)
    beside.write_bytes(b"x")
    path = spool.new_file("dock", "ab" * 16, ".png")
    spool.store(path, b"x")
    for file in (beside, path):
        os.utime(file, (1, 1))
    assert (spool.sweep(store), path.exists(), beside.exists()) == (1, False, True)


@pytest.mark.parametrize("name", ["é.png", b"\xff.png", "a.png", ".png"])
def test_a_file_with_a_name_of_somebody_else_is_swept_like_one_that_no_batch_came_of(
    spool: Spool, store: Store, name: str | bytes
) -> None:
    spooled(spool, store, "a")
    folder = spool.new_file("dock", "ab" * 16, ".png").parent
    path = folder / os.fsdecode(name)
    path.write_bytes(b"x")
    os.utime(path, (1, 1))
    assert (spool.sweep(store), path.exists()) == (1, False)


def test_sweeping_goes_on_after_an_error_that_nobody_thought_of(
    spool: Spool, store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = spool.new_file("dock", "ab" * 16, ".png")
    spool.store(path, b"x")
    os.utime(path, (1, 1))
    stop, sweep, tries = threading.Event(), spool.sweep, list[int]()

    def fails_once(store: Store) -> int:
        tries.append(1)
        if len(tries) == 1:
            raise ValueError("unforeseen")
        stop.set()
        return sweep(store)

    monkeypatch.setattr(spool, "sweep", fails_once)
    monkeypatch.setattr(shared_spool, "_SWEEP_SECONDS", 0.01)
    shared_spool.keep_swept(spool, store, stop)
    assert not path.exists()
    assert [(row.levelno, "unforeseen" in (row.exc_text or "")) for row in caplog.records] == [(logging.ERROR, True)]


def test_names_hold_no_time_that_could_be_read_as_the_time_of_capture(spool: Spool) -> None:
    names = {spool.new_file("dock", "10" * 16, ".png").name for _ in range(100)}
    assert len(names) == 100
    assert not any(digit in name for name in names for digit in "01")
