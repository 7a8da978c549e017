"""The report of a stream: what is in it, that it loads nothing, and that names are text."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from common.contracts.pictures import Picture, PictureNote
from common.contracts.verdicts import Cause, Status
from common.errors import SentinelError, UnknownStream
from common.settings import Settings
from common.store import Store
from common.store.pictures import reference_pin
from sentinel.stream_report import scores, verdicts_since, write_stream_report
from tests.common.builders import verdict
from tests.common.store.test_pictures import pending
from tests.consumers.test_retrain_trigger import announce, know

HOSTILE = "<script>alert(1)</script>[/red]"


def jpeg(seed: int = 0) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (144, 256, 3), np.uint8)
    return bytes(cv2.imencode(".jpg", noise)[1].tobytes())


def keep_pictures(store: Store, stream: str, jpegs: Sequence[bytes]) -> None:
    """Keep pictures of a stream; the first is its reference."""
    notes = [
        PictureNote(id=f"p{n}", source="/a.mp4", time=1.0, taken_at=None, width=256, height=144)
        for n in range(len(jpegs))
    ]
    kept = [Picture(note, row) for note, row in zip(notes, jpegs, strict=True)]
    store.pictures.keep(pending(store, stream), kept)
    store.pictures.pin(stream, [reference_pin("b1", "golden.mp4", "p0")])


def written(store: Store, settings: Settings, path: Path, stream: str = "dock", since: float = 0.0) -> str:
    write_stream_report(store, settings, stream, path, since=since)
    return path.read_text(encoding="utf-8")


def test_it_says_what_was_judged_and_by_what(store: Store, settings: Settings, tmp_path: Path) -> None:
    know(store)
    for stop in range(48, 480, 48):
        announce(store, verdict(status=Status.PASS, stop=stop))
    announce(store, verdict(stop=480, cause=Cause.NOISE))
    text = written(store, settings, tmp_path / "made" / "report.html")
    assert "10 windows, 1 failed" in text
    assert "noise 1" in text
    assert "SENTINEL_DRIFT_THRESHOLD" in text
    assert "password" not in text.lower()


def test_the_latest_picture_and_the_reference_are_in_it(store: Store, settings: Settings, tmp_path: Path) -> None:
    keep_pictures(store, "dock", [jpeg(0), jpeg(1)])
    text = written(store, settings, tmp_path / "report.html")
    shown = [base64.b64decode(row) for row in re.findall(r"data:image/jpeg;base64,([^\"]+)", text)]
    assert shown == [jpeg(0), jpeg(1)]
    assert "as golden, a.mp4 at 1.0 s" in text


def test_it_loads_nothing_and_stays_small(store: Store, settings: Settings, tmp_path: Path) -> None:
    know(store)
    for stop in range(48, 48 * 2_000, 48):
        announce(store, verdict(status=Status.PASS, stop=stop))
    text = written(store, settings, tmp_path / "report.html")
    assert not re.search(r"""(src|href)\s*=\s*["']?(?!data:)""", text)
    assert "<script" not in text
    assert len(text) < 2_000_000
    assert len(re.findall('<rect class="PASS"', text)) <= 860


def test_only_the_time_that_is_asked_for_is_in_it(store: Store, settings: Settings, tmp_path: Path) -> None:
    know(store)
    announce(store, verdict(status=Status.PASS))
    time.sleep(0.01)
    since = time.time()
    announce(store, verdict(status=Status.PASS, stop=96))
    assert [row.stop for _, row in verdicts_since(store, "dock", since)] == [96]
    assert "1 windows, 0 failed" in written(store, settings, tmp_path / "report.html", since=since)


def test_a_hostile_name_is_text(store: Store, settings: Settings, tmp_path: Path) -> None:
    know(store, HOSTILE)
    announce(store, verdict(stream=HOSTILE, status=Status.PASS))
    text = written(store, settings, tmp_path / "report.html", stream=HOSTILE)
    assert HOSTILE not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;[/red]" in text


def test_a_stream_that_never_was_and_a_file_that_cannot_be_are_said(
    store: Store, settings: Settings, tmp_path: Path
) -> None:
    with pytest.raises(UnknownStream, match="see `sentinel status`"):
        written(store, settings, tmp_path / "report.html")
    know(store)
    (tmp_path / "file").write_text("")
    with pytest.raises(SentinelError, match="name another file"):
        written(store, settings, tmp_path / "file" / "report.html")


def test_of_windows_at_one_place_the_worst_is_drawn() -> None:
    rows = [(float(at), verdict(status=Status.PASS, stop=48)) for at in range(5_000)]
    rows[2_500] = 2_500.0, verdict(stop=48)
    drawn = scores(rows, [], 0.3)
    assert len(drawn.columns) <= 821
    assert [column.look for column in drawn.columns].count(Status.FAIL) == 1
