"""Whether there is a live camera at all: asked of the file as it is now, whatever stands in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.live_cameras import names_a_camera
from common.processes import wanted_processes
from common.settings import Settings


@pytest.mark.parametrize(
    ("content", "there"),
    [
        (b'[streams.dock]\nurl = "rtsp://cam/1"', True),
        (b'\xef\xbb\xbf[streams."site/dock 3"]\nurl = "rtsp://cam/1"', True),
        (b'[streams.dock]\nbaseline = "url"', False),
        (b"streams = 3", False),
        (b"[streams]\nurl = 1", False),
        (b"no toml", False),
        (b"\xff", False),
        (b"a = " + b"[" * 5000, False),
        (b"", False),
    ],
)
def test_a_stream_with_a_url_gives_the_process_work(
    settings: Settings, tmp_path: Path, content: bytes, there: bool
) -> None:
    own = settings.model_copy(update={"config": tmp_path / "own.toml"})
    assert not names_a_camera(own), "there is no file yet"
    (tmp_path / "own.toml").write_bytes(content)
    assert names_a_camera(own) is there
    assert ("rtsp" in {process.name for process in wanted_processes(own)}) is there
