"""`streams add` and `streams test` at real cameras: what is said, what is written, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest

from common.contracts.cameras import CameraState
from common.store import Store
from tests.producers.live import camera_clip, http_camera, motion_jpeg, needs_rtsp_server, rtsp_server, whole_body
from tests.sentinel.cli.conftest import CommandLine


@pytest.fixture
def config(sentinel: CommandLine, tmp_path: Path) -> Path:
    path = tmp_path / "own.toml"
    path.write_text('# mine\n[streams.yard]\nbaseline = "x"\n')
    sentinel.set("SENTINEL_CONFIG", str(path))
    return path


def test_a_camera_is_looked_at_before_it_is_written(sentinel: CommandLine, config: Path, tmp_path: Path) -> None:
    with http_camera(motion_jpeg(30)) as port:
        url = f"http://127.0.0.1:{port}/video"
        done = sentinel.run("streams", "add", "site/dock 3", url, "--picture", str(tmp_path / "now.jpg"))
        assert done.code == 0, done.stderr
        assert "mjpeg, 96 x 64" in done.stdout and "of a core" in done.stdout and "GB of network a day" in done.stdout
        assert cv2.imread(str(tmp_path / "now.jpg")).shape == (64, 96, 3)
        text = config.read_text()
        assert text.startswith("# mine\n") and f'[streams."site/dock 3"]\nurl = "{url}"' in text
        again = sentinel.run("streams", "test", "site/dock 3", "--json")
        found = json.loads(again.stdout)
        assert (found["width"], found["height"], found["codec"]) == (96, 64, "mjpeg")
        assert found["fps"] == pytest.approx(10, abs=3)


def test_a_password_in_the_query_is_written_and_never_printed(sentinel: CommandLine, config: Path) -> None:
    with http_camera(motion_jpeg(30)) as port:
        url = f"http://127.0.0.1:{port}/video?pwd=hunter2'x"
        for more in ((), ("--json",)):
            before = config.read_text()
            done = sentinel.run("streams", "add", "dock", url, *more)
            assert done.code == 0, done.stderr
            assert f"http://127.0.0.1:{port}/video?..." in done.stdout
            assert "hunter2" not in done.stdout + done.stderr and "'x" not in done.stdout
            assert f'url = "{url}"' in config.read_text()
            config.write_text(before)


@needs_rtsp_server()
def test_a_camera_behind_a_password_is_added_by_the_name_of_its_secret(
    sentinel: CommandLine, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCK_PASSWORD", "hunter2")
    with rtsp_server({"cam": camera_clip(tmp_path / "a.mp4")}, user="bob", password="hunter2") as port:
        url = f"rtsp://127.0.0.1:{port}/cam"
        refused = sentinel.run("streams", "add", "dock", url)
        assert refused.code == 3 and "401" in refused.stderr and url not in config.read_text()
        done = sentinel.run("streams", "add", "dock", url, "--user", "bob", "--password-env", "DOCK_PASSWORD")
        assert done.code == 0, done.stderr
        assert "h264, 96 x 64, 10.0 frames per second, a key frame every 1.0 s" in done.stdout
        assert "its clock differs from ours by" in done.stdout
        assert "hunter2" not in config.read_text() + done.stdout + done.stderr + refused.stderr
        tested = sentinel.run("streams", "test", "dock")
        assert tested.code == 0 and "answers at 127.0.0.1" in tested.stdout and "asked as bob" in tested.stdout
        assert "which nobody fetches" in tested.stdout


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["rtsp://bob:hunter2@127.0.0.1/1"], 2, "password_env"),
        (["file:///etc/passwd"], 2, "begins with rtsp"),
        (["rtsp://127.0.0.1:9/1"], 3, "refused"),
        (["rtsp://127.0.0.1:9/1", "--user", "bob"], 3, "password_env"),
        (["rtsp://127.0.0.1:9/1", "--user", "bob", "--password-env", "NOT_SET"], 3, "NOT_SET"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(
    sentinel: CommandLine, config: Path, words: list[str], code: int, said: str
) -> None:
    before = config.read_text()
    done = sentinel.run("streams", "add", "dock", *words)
    assert (done.code, said in done.stderr) == (code, True), done.stderr
    assert "hunter2" not in done.stdout + done.stderr
    assert config.read_text() == before


def test_trouble_is_told_by_its_step(sentinel: CommandLine, config: Path, store: Store) -> None:
    with http_camera(whole_body(b"<html>")) as port:
        config.write_text(f'[streams.dock]\nurl = "http://127.0.0.1:{port}/"\n')
        store.cameras.put([CameraState(stream="dock", url="http://x/", since=1.0, why="http://x/: it is away")])
        done = sentinel.run("streams", "test", "dock")
    assert done.code == 3
    assert "not connected since" in done.stdout and "it is away" in done.stdout and "answers at" in done.stdout
    assert "no video that can be read" in done.stderr
    other = config.with_name("other.toml")  # a file that was just written is read a second later
    other.write_text('[streams.dock]\nurl = "rtsp://127.0.0.1:9/1"\n')
    sentinel.set("SENTINEL_CONFIG", str(other))
    assert "is the port right" in sentinel.run("streams", "test", "dock").stderr
    assert "`sentinel streams add yard URL`" in sentinel.run("streams", "test", "yard").stderr
    assert "camera   not connected since" in sentinel.run("streams", "show", "dock").stdout
