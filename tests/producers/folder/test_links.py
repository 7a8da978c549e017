"""Links to folders are never followed, however they come to be there."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from common.errors import BadSource, PathNotAllowed
from producers.folder.file_events import Hint
from producers.folder.producer import FolderProducer
from producers.folder.scanner import Scanner
from producers.folder.stability import StabilityTracker
from tests.producers.folder.watched_folder import Ingestor, Watched, wait_until


def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "clip.mp4").write_bytes(b"frames")
    return folder


def test_a_folder_moved_in_with_a_link_inside_is_submitted_without_what_the_link_leads_to(
    watched: Watched, tmp_path: Path
) -> None:
    arriving = tmp_path / "arriving"
    arriving.mkdir()
    (arriving / "own.mp4").write_bytes(b"frames")
    (arriving / "link").symlink_to(outside(tmp_path))
    (watched.folder("other") / "inner.mp4").write_bytes(b"frames")
    (arriving / "inside").symlink_to(watched.root / "other")
    arriving.rename(watched.root / "dock")
    wait_until(lambda: len(watched.ingestor.rejected) == 2)
    watched.wait_for(("dock", "dock/own.mp4"), ("other", "other/inner.mp4"))
    (watched.root.parent / "outside" / "late.mp4").write_bytes(b"frames")
    watched.drop("other/late.mp4")
    watched.wait_for(("dock", "dock/own.mp4"), ("other", "other/inner.mp4"), ("other", "other/late.mp4"))
    assert {path.name for path, _ in watched.ingestor.rejected} == {"link", "inside"}
    assert {type(error) for _, error in watched.ingestor.rejected} == {PathNotAllowed, BadSource}


def test_a_folder_that_becomes_a_link_is_left_alone(watched: Watched, tmp_path: Path) -> None:
    folder = watched.folder("site/dock 3")
    watched.drop("site/dock 3/1.jpg")
    watched.wait_for(("site", "site/dock 3"))
    target = outside(tmp_path)
    (target / "2.jpg").write_bytes(b"frames")
    folder.rename(tmp_path / "away")
    folder.symlink_to(target)
    wait_until(lambda: watched.ingestor.rejected)
    watched.wait_for(("site", "site/dock 3"))
    assert [path for path, _ in watched.ingestor.rejected] == [folder]


@pytest.mark.parametrize("below", ["link", "link/inner"])
def test_neither_a_scan_nor_an_event_leads_below_a_link(tmp_path: Path, below: str) -> None:
    target = outside(tmp_path)
    (target / "inner").mkdir()
    (target / "inner" / "clip.mp4").write_bytes(b"frames")
    root = tmp_path / "incoming"
    root.mkdir()
    (root / "link").symlink_to(target)
    tracker = StabilityTracker(0.0)
    scan = Scanner(root, tracker).scan(root / below)
    assert (scan.seen, tracker.known()) == (set(), set())
    producer = FolderProducer(root, submit=Ingestor().submit, reject=Ingestor().reject)
    producer._follow(Hint(root / below, is_folder=True))
    producer._follow(Hint(root / below / "clip.mp4", is_folder=False))
    assert producer._tracker.known() <= {root / "link"}


def test_a_rewrite_that_keeps_size_and_time_is_submitted_again(watched: Watched) -> None:
    clip = watched.drop("dock/clip.mp4", b"frames A")
    watched.wait_for(("dock", "dock/clip.mp4"))
    before = clip.stat()
    clip.write_bytes(b"frames B")
    os.utime(clip, ns=(before.st_atime_ns, before.st_mtime_ns))
    watched.wait_for(("dock", "dock/clip.mp4"), ("dock", "dock/clip.mp4"))
    clip.rename(clip.with_name("renamed.mp4"))
    time.sleep(0.1)
    watched.wait_for(("dock", "dock/clip.mp4"), ("dock", "dock/clip.mp4"))
