"""Weights once: built with weights that were named, used from then on in terminals where nothing is named."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from simulation.virtual_camera import record
from tests.converted import share_backbones
from tests.sentinel.conftest import SIZE, World

NAMED = "random:0"


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A fresh terminal: a baseline was built in another one, with weights that this one does not name."""
    folder = tmp_path_factory.mktemp("world")
    record(folder / "golden.mp4", seconds=20, fps=10, seed=1, **SIZE)
    record(folder / "clean.mp4", seconds=8, fps=10, seed=2, **SIZE)
    places = {
        "SENTINEL_STATE_DIR": str(folder / "state"),
        "SENTINEL_BASELINES_DIR": str(folder / "baselines"),
        "SENTINEL_WATCH_DIR": str(folder / "incoming"),
        # Where ImageNet's weights would be downloaded from nobody answers.
        "KERAS_HOME": str(folder / "keras"),
        "https_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9", "no_proxy": "", "NO_PROXY": "",
    }  # fmt: skip
    share_backbones(tmp_path_factory, folder / "state")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SENTINEL_")}
    world = World(folder, {**clean, **places})
    built = with_weights(world, NAMED).run("baseline", "build", str(folder / "golden.mp4"), "--name", "golden")
    assert built.returncode == 0, built.stderr
    return world


def with_weights(world: World, weights: str) -> World:
    return World(world.folder, {**world.environment, "SENTINEL_WEIGHTS": weights})


def check(world: World) -> tuple[int, dict[str, object]]:
    done = world.run("check", str(world.folder / "clean.mp4"), "--baseline", "golden", "--json")
    return done.returncode, json.loads(done.stdout)


def test_check_in_a_fresh_terminal_gives_the_verdict_that_it_gives_where_the_weights_are_named(
    terminal: World,
) -> None:
    named = check(with_weights(terminal, NAMED))
    assert named[0] in {0, 1}
    assert check(terminal) == named


def test_doctor_in_a_fresh_terminal_finds_the_backbones_of_the_baselines_that_are_kept(terminal: World) -> None:
    digest = json.loads(terminal.run("baseline", "show", "golden", "--json").stdout)["feature_spec"]["weights"]
    done = terminal.run("doctor", "--json")
    (backbone,) = (finding for finding in json.loads(done.stdout) if finding["what"] == "backbone")
    assert backbone["ok"], backbone
    assert digest[:12] in backbone["detail"]


def test_other_weights_that_are_set_are_refused_and_not_replaced(terminal: World) -> None:
    code, said = check(with_weights(terminal, "random:8"))
    assert (code, said["error"]) == (3, "BaselineMismatch")
    assert "SENTINEL_WEIGHTS=random:8" in str(said["message"])


def test_a_baseline_that_was_moved_to_another_machine_says_what_it_wants(terminal: World, tmp_path: Path) -> None:
    moved = World(terminal.folder, {**terminal.environment, "SENTINEL_STATE_DIR": str(tmp_path / "state")})
    code, said = check(moved)
    assert (code, said["error"]) == (3, "BaselineMismatch")
    for part in ("mobilenet_v2", str(tmp_path / "state" / "backbones"), "set SENTINEL_WEIGHTS", "SENTINEL_STATE_DIR"):
        assert part in str(said["message"])
    assert check(with_weights(moved, NAMED))[0] in {0, 1}, "named once"
    assert check(moved)[0] in {0, 1}, "and from then on found"
