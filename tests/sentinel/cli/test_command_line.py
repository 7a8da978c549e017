"""The command line as a user meets it: exit codes, JSON, and errors that say what to do."""

from __future__ import annotations

import json
import shutil
from html.parser import HTMLParser
from pathlib import Path

from simulation.saboteur import Fault, sabotage
from tests.sentinel.conftest import World


def test_a_sabotaged_clip_fails_with_exit_code_1_and_writes_its_status(world: World, tmp_path: Path) -> None:
    clip = tmp_path / "in" / "dark.mp4"
    clip.parent.mkdir()
    sabotage(world.folder / "clean.mp4", clip, Fault.LOW_LIGHT, 3)
    done = world.run("check", str(clip.parent), "--baseline", "golden", "--json", "--status-dir", str(tmp_path / "out"))
    assert done.returncode == 1, done.stderr
    said = json.loads(done.stdout)
    assert said == json.loads((tmp_path / "out" / "status.json").read_text())
    assert (said["status"], said["cause"]) == ("FAIL", "low_light")
    assert 0.3 < said["drift_score"] <= 1
    assert said["p_value"] < 0.05
    assert {"start", "stop", "status", "drift_score", "p_value", "cause"} <= set(said["windows"][0])


def test_footage_shorter_than_a_window_has_no_verdict(world: World, tmp_path: Path) -> None:
    from tests.footage import scene, write_clip

    clip = write_clip(tmp_path / "short.mp4", scene(5))
    done = world.run("check", str(clip), "--baseline", "golden", "--json", "--status-dir", str(tmp_path / "out"))
    assert done.returncode == 3
    assert "window" in done.stderr
    assert json.loads(done.stdout)["status"] == "ERROR"
    assert json.loads((tmp_path / "out" / "status.json").read_text())["error"] == "WindowNotFull"


def test_another_sampling_than_the_baselines_is_refused(world: World) -> None:
    other = World(world.folder, {**world.environment, "SENTINEL_SAMPLE_FPS": "3"})
    done = other.run("check", str(world.folder / "clean.mp4"), "--baseline", "golden")
    assert done.returncode == 3
    assert "SENTINEL_SAMPLE_FPS" in done.stderr


def test_what_is_missing_is_named_with_what_to_do(world: World, tmp_path: Path) -> None:
    done = world.run("check", str(world.folder / "clean.mp4"), "--baseline", "nowhere")
    assert done.returncode == 3
    assert "sentinel baseline list" in done.stderr
    done = world.run("check", str(tmp_path / "nothing.mp4"), "--baseline", "golden")
    assert done.returncode == 3
    assert "nothing.mp4" in done.stderr
    done = world.run("check")
    assert done.returncode == 2


def test_a_golden_clip_that_is_too_short_says_how_long_it_must_be(world: World, tmp_path: Path) -> None:
    from tests.footage import scene, write_clip

    clip = write_clip(tmp_path / "short.mp4", scene(20))
    done = world.run("baseline", "build", str(clip), "--name", "short")
    assert done.returncode == 3
    assert "frames" in done.stderr
    done = world.run("baseline", "build", str(clip), "--name", "../evil")
    assert done.returncode == 3
    assert "letters" in done.stderr


def test_baselines_are_listed_and_shown(world: World) -> None:
    assert json.loads(world.run("baseline", "list", "--json").stdout)[0]["name"] == "golden"
    assert json.loads(world.run("baseline", "show", "golden", "--json").stdout)["clips"][0]["frames"] == 300
    assert "golden" in world.run("baseline", "list").stdout


def test_sabotage_makes_a_copy_that_names_its_fault(world: World, tmp_path: Path) -> None:
    done = world.run(
        "sabotage", str(world.folder / "clean.mp4"), "--out", str(tmp_path), "--fault", "blur", "--severity", "2"
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "clean-blur-2.mp4").is_file()
    done = world.run("sabotage", str(world.folder / "clean.mp4"), "--out", str(tmp_path), "--fault", "rust")
    assert done.returncode == 2
    assert "low_light" in done.stderr


def test_commands_that_need_a_stack_say_how_to_start_one(world: World, tmp_path: Path) -> None:
    alone = World(world.folder, {**world.environment, "SENTINEL_STATE_DIR": str(tmp_path)})
    for command in (["status"], ["events"], ["dead", "list"], ["champions", "list"]):
        done = alone.run(*command)
        assert done.returncode == 3
        assert "sentinel up" in done.stderr


def test_the_doctor_names_what_is_wrong(world: World, tmp_path: Path) -> None:
    assert world.run("doctor").returncode == 0
    broken = tmp_path / "baselines" / "golden"
    shutil.copytree(world.folder / "baselines" / "golden", broken)
    (broken / "arrays.npz").write_bytes(b"x")
    ill = World(world.folder, {**world.environment, "SENTINEL_BASELINES_DIR": str(tmp_path / "baselines")})
    done = ill.run("doctor", "--json")
    assert done.returncode == 3
    wrong = [row for row in json.loads(done.stdout) if not row["ok"]]
    assert [row["what"] for row in wrong] == ["baseline"]
    assert "arrays.npz" in wrong[0]["detail"]


class Page(HTMLParser):
    """What is on a page: its text, its bars, and whether every tag is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.text, self.bars, self.open = "", 0, list[str]()

    def handle_starttag(self, tag: str, attributes: object) -> None:
        self.bars += tag == "rect"
        if tag not in {"meta", "line", "img"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: object) -> None:
        self.bars += tag == "rect"

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_report_shows_every_window_and_why(world: World, tmp_path: Path) -> None:
    spoilt = world.run("sabotage", str(world.folder / "clean.mp4"), "--out", str(tmp_path), "--fault", "noise")
    clip = Path(spoilt.stdout.strip())
    report = tmp_path / "pages" / "report.html"
    done = world.run("check", str(clip), "--baseline", "golden", "--json", "--report", str(report))
    assert done.returncode == 1, done.stderr
    page = Page()
    page.feed(report.read_text(encoding="utf-8"))
    assert page.open == []
    assert page.bars == len(json.loads(done.stdout)["windows"])
    assert "FAIL" in page.text
    assert "noise" in page.text
    assert "look at the camera" in page.text
    assert clip.name in page.text
    refused = world.run("check", str(clip), "--baseline", "golden", "--report", "/proc/nowhere/report.html")
    assert refused.returncode == 3
    assert "report cannot be written" in refused.stderr


def test_the_faults_are_listed_and_a_file_is_no_folder(world: World, tmp_path: Path) -> None:
    listed = world.run("sabotage", "--fault", "list")
    assert listed.returncode == 0
    assert "low_light" in listed.stdout.split()
    clip = str(world.folder / "clean.mp4")
    assert world.run("sabotage", clip, "--out", str(tmp_path / "x.mp4"), "--fault", "blur").returncode == 2
    assert not (tmp_path / "x.mp4").exists()


def test_a_baseline_is_not_overwritten_by_accident(world: World) -> None:
    again = world.run("baseline", "build", str(world.folder / "golden.mp4"), "--name", "golden")
    assert again.returncode == 3
    assert "--replace" in again.stderr


def test_golden_footage_stands_in_for_a_baseline(world: World) -> None:
    clip, golden = str(world.folder / "clean.mp4"), str(world.folder / "golden.mp4")
    by_baseline = json.loads(world.run("check", clip, "--baseline", "golden", "--json").stdout)
    done = world.run("check", clip, "--golden", golden, "--json")
    said = json.loads(done.stdout)
    same = ("status", "drift_score", "p_value", "frames")
    assert [said[name] for name in same] == [by_baseline[name] for name in same]
    assert world.run("check", clip, "--golden", golden, "--baseline", "golden").returncode == 2


def test_the_one_shot_of_the_container_without_a_baseline_says_how_to_give_it_one(world: World, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    environment = {name: value for name, value in world.environment.items() if name != "SENTINEL_BASELINE"}
    places = [f"--{name}={tmp_path / folder}" for name, folder in (
        ("footage", "in"), ("status", "out"), ("baseline", "none"), ("golden", "none"), ("baked", "none"))]  # fmt: skip
    done = World(world.folder, environment).run("monitor", *places)
    assert done.returncode == 3
    said = json.loads((tmp_path / "out" / "status.json").read_text())
    assert said == json.loads(done.stdout)
    assert "--build-arg BASELINE=" in said["message"]
