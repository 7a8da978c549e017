"""A second modality snaps in: the package of docs/modalities.md, on the path and nowhere else, is judged by a real
stack."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from common.contracts.dead_letters import DeadLetter, DeadLetterKind
from common.contracts.verdicts import Cause, Status, Verdict
from common.features import FloatArray
from tests.sentinel.conftest import Running, World, start, wait_until

PAGE = Path(__file__).parents[2] / "docs" / "modalities.md"
COLUMNS = ("temperature", "pressure", "vibration")


def install(folder: Path) -> Path:
    """Write the package of the page, and what `pip` would write beside it, to `folder`."""
    text = PAGE.read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    (offer,) = re.findall(r'```toml\n\[project\.entry-points\."(.*?)"\]\ncsv = "(.*?)"\n```', text)
    beside = folder / "csv_rows-1.0.dist-info"
    beside.mkdir(parents=True)
    (folder / "csv_rows.py").write_text(code, encoding="utf-8")
    (beside / "METADATA").write_text("Metadata-Version: 2.1\nName: csv-rows\nVersion: 1.0\n")
    (beside / "entry_points.txt").write_text(f"[{offer[0]}]\ncsv = {offer[1]}\n")
    return folder


def rows(count: int, *, seed: int, pressure: float = 0.0) -> FloatArray:
    """Return (count, 3) rows of a press that works; `pressure` is added in bar."""
    rng = np.random.default_rng(seed)
    grain = np.zeros((count + 50, 3))
    for number in range(1, len(grain)):
        grain[number] = 0.7 * grain[number - 1] + rng.normal(size=3)
    values = np.array([60.0, 4.0, 1.5]) + grain[50:] * np.array([0.3, 0.02, 0.05])
    values[:, 1] += pressure
    return values.astype(np.float32)


def write(path: Path, values: FloatArray, *, header: str = ",".join(COLUMNS)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = path.with_suffix(".tmp")
    staging.write_text("\n".join([header, *(",".join(f"{value:.5f}" for value in row) for row in values)]) + "\n")
    staging.rename(path)
    return path


@pytest.fixture(scope="module")
def press(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A folder with the package on the path, and a baseline that the real command has built from CSV files."""
    folder = tmp_path_factory.mktemp("press")
    (folder / "sentinel.toml").touch()
    package = install(folder / "site")
    own = {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(package), os.environ.get("PYTHONPATH", "")])),
        "SENTINEL_CONFIG": str(folder / "sentinel.toml"),
        "SENTINEL_STATE_DIR": str(folder / "state"),
        "SENTINEL_WATCH_DIR": str(folder / "incoming"),
        "SENTINEL_BASELINES_DIR": str(folder / "baselines"),
        "SENTINEL_BASELINE": "press",
        "SENTINEL_ALLOWED_ROOTS": str(folder),
        "SENTINEL_FLOWER_PORT": "0",
        "SENTINEL_METRICS_PORT": "0",
        "SENTINEL_PAGE_PORT": "0",
        "SENTINEL_SETTLE_SECONDS": "0.5",
        "SENTINEL_CHUNK_FRAMES": "50",
    }
    world = World(folder, {**{k: v for k, v in os.environ.items() if not k.startswith("SENTINEL_")}, **own})
    golden = [write(folder / "golden" / f"{day}.csv", rows(400, seed=day)) for day in (1, 2)]
    built = world.run("baseline", "build", *map(str, golden), "--name", "press", "--json")
    assert built.returncode == 0, built.stderr
    manifest = json.loads(built.stdout)
    assert manifest["feature_spec"]["modality"] == "csv"
    assert manifest["feature_spec"]["backbone"] == ""
    assert [group["columns"] for group in manifest["groups"]] == [list(COLUMNS)]
    return world


@pytest.fixture(scope="module")
def stack(press: World) -> Iterator[Running]:
    running = start(press)
    yield running
    if running.process.poll() is None:
        running.interrupt()


def verdicts(stack: Running, stream: str) -> list[Verdict]:
    return [
        event.verdict
        for event in stack.store.event_log.events()
        if event.stream == stream and hasattr(event, "verdict")
    ]


def letters(stack: Running, name: str) -> list[DeadLetter]:
    return [letter for letter in stack.store.event_log.dead_letters() if name in letter.subject]


def test_a_check_of_clean_rows_passes_and_one_of_shifted_rows_names_the_column(press: World) -> None:
    clean = press.run("check", str(write(press.folder / "clean.csv", rows(200, seed=3))), "--json")
    assert (clean.returncode, json.loads(clean.stdout)["status"]) == (0, "PASS"), clean.stderr
    shifted = press.run("check", str(write(press.folder / "shifted.csv", rows(200, seed=3, pressure=0.5))))
    assert shifted.returncode == 1, shifted.stderr
    assert "pressure +" in shifted.stdout


@pytest.mark.timeout(400)
def test_clean_rows_pass_through_the_queues_and_shifted_ones_fail_by_their_column(stack: Running) -> None:
    write(stack.world.watch_dir / "press 1" / "clean.csv", rows(120, seed=4))
    write(stack.world.watch_dir / "press 2" / "shifted.csv", rows(120, seed=5, pressure=0.5))
    wait_until("verdicts on both presses", lambda: verdicts(stack, "press 1") and verdicts(stack, "press 2"))
    assert {row.status for row in verdicts(stack, "press 1")} == {Status.PASS}
    for row in verdicts(stack, "press 2"):
        assert (row.status, row.cause) == (Status.FAIL, Cause.UNKNOWN)
        assert [group.group for group in row.feature_groups] == ["press"]
        assert row.leading_features[0].feature == "pressure"
        assert row.leading_features[0].window_value - row.leading_features[0].baseline_value == pytest.approx(
            0.5, abs=0.1
        )
    (status,) = [
        row for row in json.loads(stack.world.run("status", "--json").stdout)["streams"] if row["stream"] == "press 2"
    ]
    assert status["frames"] == 120


@pytest.mark.timeout(400)
def test_malformed_files_end_as_dead_letters_with_their_reasons_and_the_stream_goes_on(stack: Running) -> None:
    folder = stack.world.watch_dir / "press 3"
    write(folder / "torn.csv", rows(40, seed=6)).open("a").write("61.2,4.0,broken\n")
    write(folder / "other.csv", rows(40, seed=6), header="time,x,y")
    wait_until("two dead letters", lambda: letters(stack, "torn.csv") and letters(stack, "other.csv"))
    (torn,), (other,) = letters(stack, "torn.csv"), letters(stack, "other.csv")
    assert (torn.kind, other.kind) == (DeadLetterKind.CHUNK, DeadLetterKind.SOURCE), "found when decoded, when accepted"
    assert "row 41: could not convert string to float: 'broken'" in torn.reason
    assert "has columns time, x, y, not temperature, pressure, vibration" in other.reason
    write(folder / "clean.csv", rows(120, seed=7))
    wait_until("a verdict after them", lambda: verdicts(stack, "press 3"))
    assert {row.status for row in verdicts(stack, "press 3")} == {Status.PASS}


@pytest.mark.timeout(400)
def test_a_video_in_a_stream_of_rows_is_refused(stack: Running) -> None:
    from simulation.virtual_camera import record

    staging = stack.world.folder / "clip.mp4"
    record(staging, seconds=2, fps=10, seed=1)
    (stack.world.watch_dir / "press 4").mkdir(parents=True, exist_ok=True)
    staging.rename(stack.world.watch_dir / "press 4" / "clip.mp4")
    wait_until("a dead letter about it", lambda: letters(stack, "clip.mp4"))
    assert (
        "is of modality video, but the baseline of stream 'press 4' judges csv" in letters(stack, "clip.mp4")[0].reason
    )
