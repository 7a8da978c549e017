"""`sentinel interpolate` at the command line, with real video and a real Redis."""

from __future__ import annotations

import json
import time
from pathlib import Path

import av
import pytest

from common.models.vfi.first import starting_model
from common.models.vfi.model import WEIGHTS_FILE, Interpolator
from common.store import Store
from tests.common.builders import record
from tests.common.models.vfi.test_trainer import footage
from tests.footage import write_clip
from tests.sentinel.cli.conftest import CommandLine


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4", list(footage(6)), fps=10.0)


def rate_of(path: Path) -> float:
    with av.open(str(path)) as container:
        return float(container.streams.video[0].average_rate or 0.0)


def test_a_video_gets_twice_or_four_times_its_frames(sentinel: CommandLine, clip: Path, tmp_path: Path) -> None:
    target = tmp_path / "twice.mp4"
    done = sentinel.run("interpolate", str(clip), "--out", str(target))
    assert (done.code, done.stdout) == (0, f"{target}: 11 frames of 6\n")
    assert "starting weights" in done.stderr
    assert rate_of(target) == pytest.approx(20.0, rel=0.05)
    done = sentinel.run("interpolate", str(clip), "--out", str(target), "--factor", "4", "--json")
    shown = json.loads(done.stdout)
    assert (shown["frames"], shown["source_frames"], shown["cuts"]) == (21, 6, 0)
    assert shown["digest"] == starting_model().digest


def test_the_progress_is_shown_on_standard_error(sentinel: CommandLine, clip: Path, tmp_path: Path) -> None:
    sentinel.patch.setenv("TERM", "xterm")
    done = sentinel.run("interpolate", str(clip), "--out", str(tmp_path / "a.mp4"), width=100)
    assert "6/6" in done.stderr and "frames" in done.stderr
    assert "6/6" not in done.stdout


def test_the_champion_that_serves_a_stream_is_used(
    sentinel: CommandLine, store: Store, clip: Path, tmp_path: Path
) -> None:
    def run() -> tuple[int, str, str]:
        done = sentinel.run("interpolate", str(clip), "--out", str(tmp_path / "a.mp4"), "--stream", "dock", "--json")
        return done.code, done.stdout, done.stderr

    code, _, said = run()
    assert code == 3 and "there is no stream 'dock'" in said
    store.client.zadd("sentinel:streams", {"dock": time.time()})
    code, shown, _ = run()
    assert code == 0 and "no champion yet" in json.loads(shown)["model"]
    champion = Interpolator(tuple(w * 0.5 for w in starting_model().weights))
    champion.save(tmp_path / "v1")
    new = record(1, model_path=str(tmp_path / "v1"), model_digest=champion.digest)
    assert store.champions.promote(new, over=0)
    code, shown, _ = run()
    assert code == 0 and json.loads(shown)["digest"] == champion.digest
    (tmp_path / "v1" / WEIGHTS_FILE).write_bytes(b"edited")
    code, _, said = run()
    assert code == 3 and "BadModel" in said and "roll back" in said


def test_mistakes_are_named(sentinel: CommandLine, clip: Path, tmp_path: Path) -> None:
    def said(*arguments: str) -> tuple[int, str]:
        done = sentinel.run("interpolate", *arguments)
        return done.code, done.stderr

    target = str(tmp_path / "a.mp4")
    code, text = said(str(clip), "--out", target, "--factor", "3")
    assert code == 2 and "2 or 4, not 3" in text
    code, text = said(str(tmp_path / "gone.mp4"), "--out", target)
    assert code == 3 and "does not exist" in text
    code, text = said(str(clip), "--out", str(tmp_path / "a.txt"))
    assert code == 3 and "choose one of these names" in text
    code, text = said(str(clip), "--out", str(clip))
    assert code == 3 and "the source itself" in text
    assert sorted(path.name for path in tmp_path.glob("*.mp4")) == ["clip.mp4"]
