"""The cache of objects keeps its bound and shows no half block, however many processes share it and are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from common.sources.objects.cache import BlockCache

BLOCK, MOST = 20_000, 200_000

# Every block's content follows from its name, so that who reads one can tell whether it is whole.
WRITER = f"""
import random, sys
from pathlib import Path
from common.sources.objects.cache import BlockCache
cache, rng = BlockCache(Path(sys.argv[1]), {MOST}), random.Random(int(sys.argv[2]))
print("ready", flush=True)
while True:
    name = f"object-{{rng.randrange(40)}}"
    data = cache.block(name, {BLOCK}, lambda: name.encode().ljust({BLOCK}, b"."))
    assert data == name.encode().ljust({BLOCK}, b"."), name
"""


def size_of(folder: Path) -> int:
    """Return the bytes of all that is in the folder, its own small files included."""
    sizes = []
    for path in folder.rglob("*"):
        try:
            sizes.append(path.stat().st_size if path.is_file() else 0)
        except FileNotFoundError:
            continue
    return sum(sizes)


def content(name: str, size: int = BLOCK) -> bytes:
    return name.encode().ljust(size, b".")


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path) -> None:
    cache = BlockCache(tmp_path / "cache", MOST)
    for number in range(10):
        cache.keep(f"a-{number}", content(f"a-{number}"))
        os.utime(cache.folder / f"a-{number}", (number, number))
    assert cache.kept("a-0") == content("a-0")  # used again
    cache.keep("b-0", content("b-0"))
    assert cache.kept("a-0") is not None and cache.kept("b-0") is not None
    assert cache.kept("a-1") is None


def test_what_is_known_of_an_object_stays_as_long_as_its_latest_block(tmp_path: Path) -> None:
    cache = BlockCache(tmp_path / "cache", MOST)
    cache.keep("a-timeline", b"known")
    cache.keep("b-timeline", b"known")
    for number in range(30):
        name = "b-0" if number == 0 else f"a-{number}"
        cache.keep(name, content(name))
        for kept in cache.folder.glob("[ab]-*"):  # ten seconds pass
            at = kept.stat().st_mtime - 10
            os.utime(kept, (at, at))
    assert cache.kept("a-timeline") == b"known"
    assert cache.kept("b-timeline") is None


def test_a_block_larger_than_the_cache_is_returned_and_not_kept(tmp_path: Path) -> None:
    cache = BlockCache(tmp_path / "cache", 10)
    assert cache.block("a", 11, lambda: b"x" * 11) == b"x" * 11
    assert cache.kept("a") is None


def test_a_block_that_a_crash_cut_short_is_fetched_again(tmp_path: Path) -> None:
    cache = BlockCache(tmp_path / "cache", MOST)
    cache.keep("a", content("a"))
    (cache.folder / "a").write_bytes(b"a")
    assert cache.block("a", BLOCK, lambda: content("a")) == content("a") == cache.kept("a")


def test_a_folder_that_cannot_be_written_to_costs_speed_alone(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert BlockCache(tmp_path / "file" / "cache", MOST).block("a", 1, lambda: b"x") == b"x"


def test_two_that_write_at_once_because_the_lock_was_deleted_leave_no_block_under_another_name(tmp_path: Path) -> None:
    first, second = (BlockCache(tmp_path / "cache", MOST) for _ in range(2))
    first.keep("a", content("a"))
    unfinished, other = first._unfinished(content("b")), second._unfinished(content("c"))
    with pytest.raises(FileNotFoundError):
        unfinished.replace(first.folder / "b")
    other.replace(second.folder / "c")
    assert (second.kept("b"), second.kept("c")) == (None, content("c"))


def test_processes_that_are_killed_at_any_time_leave_no_half_block_and_no_more_than_the_bound(tmp_path: Path) -> None:
    folder = tmp_path / "cache"

    def start(seed: int) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", WRITER, str(folder), str(seed)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        return process

    writers = [start(seed) for seed in range(3)]
    reader = BlockCache(folder, MOST)
    try:
        for seed in range(3, 9):
            for turn in range(40):
                name = f"object-{(7 * turn + seed) % 40}"
                assert reader.kept(name) in {None, content(name)}
                time.sleep(0.002)
            killed = writers.pop(0)
            assert killed.poll() is None, killed.stderr and killed.stderr.read()
            killed.send_signal(signal.SIGKILL)
            killed.wait()
            # One block is written under another name before room for it is needed no more, and the total is beside it.
            assert size_of(folder) <= MOST + BLOCK + 20
            writers.append(start(seed))
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
    names = [f"object-{number}" for number in range(40)]
    found = {name: data for name in names if (data := reader.kept(name)) is not None}
    assert found and all(data == content(name) for name, data in found.items())
