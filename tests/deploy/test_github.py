"""The workflows under deploy/github/, run script by script on real footage.

GitHub cannot be reached, so its command line `gh` is a program that writes down how it is called, and no container
engine runs here, so `docker` is a program that runs this checkout's `sentinel` on the same command line. `gh` itself is
tried against a server of this machine where it is installed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from consumers.destinations import GITHUB_EVENT, GITHUB_WORKFLOW
from simulation.saboteur import Fault, sabotage
from simulation.virtual_camera import SCENES, record
from tests.common.backbones.builders import write_onnx
from tests.consumers.test_alerts import Gh
from tests.deploy.expressions import Open, State, UnknownExpression, holds, interpolated
from tests.deploy.github_api import github_api
from tests.deploy.workflows import JobRun, Runner, machine
from tests.footage import scene, write_clip

ROOT = Path(__file__).parents[2]
QUALITY, RETRAIN = ROOT / "deploy" / "github" / "quality.yml", ROOT / "deploy" / "github" / GITHUB_WORKFLOW
CI = ROOT / ".github" / "workflows" / "ci.yml"
DOCKER = ROOT / "tests" / "deploy" / "docker_stand_in.py"
HOSTILE = "a|b <img src=x> @team #1 `c` https:~~x.example \u202e.mp4"
SIZE = {"width": 192, "height": 108}


@dataclass(frozen=True)
class Camera:
    """Footage of a camera and its baseline.

    Attributes
    ----------
    image : the environment of an image that can judge the footage without a download
    learning : settings by which a baseline is made of it, in seconds
    """

    folder: Path
    image: dict[str, str]
    learning: dict[str, str]


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Camera:
    folder = tmp_path_factory.mktemp("camera")
    for name, seconds, seed in (("golden", 24, 1), ("clean", 8, 2)):
        record(folder / f"{name}.mp4", seconds=seconds, fps=10, seed=seed, scenes=SCENES[:1], **SIZE)
    for fault in (Fault.NOISE, Fault.COVERED):
        sabotage(folder / "clean.mp4", folder / f"{fault.value}.mp4", fault, 4)
    write_clip(folder / "short.mp4", scene(5))
    image = {"SENTINEL_STATE_DIR": str(folder / "state"), "SENTINEL_DEVICE": "cpu", "HOME": str(folder)}
    learning = {
        "SENTINEL_BACKBONE": write_onnx(folder / "tiny.onnx"), "SENTINEL_SAMPLE_FPS": "5",
        "SENTINEL_WINDOW_FRAMES": "12",
    }  # fmt: skip
    subprocess.run(
        [sys.executable, "-m", "sentinel", "baseline", "build", str(folder / "golden.mp4"), "--name", "golden"],
        env={**machine(folder), **image, **learning, "SENTINEL_BASELINES_DIR": str(folder / "baselines")}, cwd=ROOT,
        check=True, capture_output=True,
    )  # fmt: skip
    return Camera(folder, image, learning)


@dataclass
class GitHub:
    """A repository on GitHub with footage and a baseline, and a machine that runs its workflows."""

    runner: Runner
    gh: Gh
    camera: Camera
    image: Path

    def has(self, clip: str, *, as_name: str = "clip.mp4", folder: str = "data/drifted_frames") -> None:
        """Put a clip of the camera into the repository."""
        place = self.runner.repository / folder
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.camera.folder / f"{clip}.mp4", place / as_name)

    def checks(self, event: str = "schedule", **inputs: str) -> dict[str, JobRun]:
        """Run quality.yml."""
        return self.runner.run(QUALITY, event, inputs)

    @property
    def started(self) -> dict[str, str]:
        """Return the inputs with which retrain.yml was started."""
        (call,) = self.gh.calls
        assert call[:7] == ["workflow", "run", "retrain.yml", "--repo", "lab/vfi", "--ref", "main"]
        assert call[7::2] == ["--raw-field"] * len(call[8::2])
        return dict(field.split("=", 1) for field in call[8::2])

    @property
    def status(self) -> dict[str, object]:
        """Return the verdict that was kept as an artefact."""
        found: dict[str, object] = json.loads((self.runner.artefact("status") / "status.json").read_text())
        return found


@pytest.fixture
def github(camera: Camera, tmp_path: Path) -> GitHub:
    repository, programs = tmp_path / "repository", tmp_path / "bin"
    shutil.copytree(camera.folder / "baselines", repository / "baselines")
    (repository / "Dockerfile").touch()
    programs.mkdir()
    (programs / "docker").write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" "{DOCKER}" "$@"\n')
    (programs / "docker").chmod(0o755)
    image = tmp_path / "image.json"
    image.write_text(json.dumps(camera.image))
    runner = Runner(repository, tmp_path / "runs", {**machine(programs), "STAND_IN_IMAGE": str(image)}, run_id="77")
    runner.folder.mkdir()
    gh = Gh(programs)
    kept = f"'{runner.folder}/artefacts/'\"$3/$7\""
    gh.install(f'if [ "$1 $2" = "run download" ]; then mkdir -p "$9" && cp -R {kept}/. "$9"; fi')
    return GitHub(runner, gh, camera, image)


def test_footage_that_passes_is_green_and_starts_nothing(github: GitHub) -> None:
    github.has("clean")
    jobs = github.checks()
    assert (jobs["check"].result, jobs["retrain"].result) == ("success", "skipped"), jobs["check"].log
    assert github.status["status"] == "PASS"
    assert "| PASS | 0.00 |" in jobs["check"].summary
    assert not github.runner.artefact("footage").exists()
    assert github.gh.calls == []


def test_a_fault_that_the_policy_trains_on_is_red_and_starts_the_retraining_with_its_footage(github: GitHub) -> None:
    github.has("noise", as_name=HOSTILE)
    jobs = github.checks()
    assert jobs["check"].result == "failure"
    assert jobs["check"].ended_with["say the verdict"] == 1
    assert "::error title=FAIL::noise, drift score 0." in jobs["check"].log
    assert jobs["retrain"].result == "success", jobs["retrain"].log
    assert "| FAIL | 0." in jobs["check"].summary
    assert "<img" not in jobs["check"].summary
    assert [path.name for path in github.runner.artefact("footage").iterdir()] == [HOSTILE]
    assert github.started == {
        "run": "77", "stream": "data/drifted_frames", "baseline": "baselines/golden", "model": "vfi", "cause": "noise",
        "score": str(github.status["drift_score"]),
    }  # fmt: skip
    assert "GH_TOKEN=t0ken" in github.gh.environment


@pytest.mark.skipif(shutil.which("gh") is None, reason="GitHub's command line, gh, is not installed")
def test_gh_itself_starts_the_retraining_and_fetches_the_footage(github: GitHub, tmp_path: Path) -> None:
    (github.gh.folder / "gh").unlink()
    github.has("noise")
    with github_api(github.runner.folder / "artefacts") as api:
        github.runner.environment = {**github.runner.environment, **api.environment, "HOME": str(tmp_path)}
        jobs = github.checks()
        assert jobs["retrain"].result == "success", jobs["retrain"].log
        ((_, started),) = api.dispatched
        assert started["ref"] == "main"
        inputs = started["inputs"]
        assert isinstance(inputs, dict)
        assert (inputs["run"], inputs["cause"]) == ("77", "noise")
        jobs = github.runner.run(RETRAIN, "workflow_dispatch", inputs)
    assert api.tokens == {"token t0ken"}
    # There is no Makefile in this repository: it goes no further.
    assert list(jobs["heal"].ended_with) == ["look for the folder", "get what failed", "install Sentinel"]
    fetched = github.runner.folder / "workspace-heal" / "incoming" / "quality" / "footage" / "clip.mp4"
    assert fetched.read_bytes() == (github.camera.folder / "noise.mp4").read_bytes()


def test_no_verdict_is_red_says_why_and_starts_nothing(github: GitHub) -> None:
    github.has("short")
    jobs = github.checks()
    assert (jobs["check"].result, jobs["retrain"].result) == ("failure", "skipped")
    assert jobs["check"].ended_with["say the verdict"] == 3
    assert "::error title=No verdict::the container ended with 3" in jobs["check"].log
    assert "## No verdict" in jobs["check"].summary
    assert "WindowNotFull" in jobs["check"].summary
    assert github.status["error"] == "WindowNotFull"
    assert github.gh.calls == []


def test_a_container_that_breaks_with_the_code_of_a_fail_is_no_fail(github: GitHub) -> None:
    github.has("noise")
    github.image.write_text(json.dumps({"PYTHONHOME": "/nowhere"}))  # the interpreter does not start, and ends with 1
    jobs = github.checks()
    assert jobs["check"].ended_with == {
        "look for the folders": 0, "get the image": 0, "judge": 0, "read the verdict": 0, "say the verdict": 3,
    }  # fmt: skip
    assert "The container ended with 1, without a status.json" in jobs["check"].summary
    assert jobs["retrain"].result == "skipped"


def test_a_run_by_hand_judges_what_it_names_by_golden_footage_and_calls_no_training_for_a_person(
    github: GitHub,
) -> None:
    repository = github.runner.repository
    (repository / "Dockerfile").unlink()
    github.runner.variables = {"SENTINEL_IMAGE": "registry.example/sentinel@sha256:0"}  # it is pulled
    github.image.write_text(json.dumps({**github.camera.image, **github.camera.learning}))
    shutil.rmtree(repository / "baselines")
    github.has("golden", folder="golden")
    github.has("covered", folder="site 3/today")
    jobs = github.checks("workflow_dispatch", footage="site 3/today", baseline="golden")
    assert (jobs["check"].result, jobs["retrain"].result) == ("failure", "skipped")
    assert jobs["check"].ended_with["say the verdict"] == 1, jobs["check"].log
    assert (github.status["status"], github.status["cause"], github.status["response"]) == ("FAIL", "covered", "call")
    assert github.gh.calls == []


@pytest.mark.parametrize("folder", ["nowhere", "../outside", "linked", "data:ro", "a\nb", "/etc", "$(touch pwned)"])
def test_a_folder_that_is_none_of_the_repository_is_refused_before_anything_runs(github: GitHub, folder: str) -> None:
    (github.runner.folder / "outside").mkdir()
    (github.runner.repository / "linked").symlink_to(github.runner.folder / "outside")
    (github.runner.repository / "data:ro").mkdir()
    jobs = github.checks("workflow_dispatch", footage=folder)
    assert jobs["check"].ended_with == {"look for the folders": 2}
    assert "::error title=Folder::" in jobs["check"].log
    assert not list(github.runner.folder.rglob("pwned"))


def test_what_quality_hands_over_is_for_healing_and_a_baseline_that_is_missing_is_named(github: GitHub) -> None:
    shutil.rmtree(github.runner.repository / "baselines")
    handed = {
        "run": "77",
        "stream": "data",
        "baseline": "baselines/golden",
        "model": "vfi",
        "cause": "noise",
        "score": "1",
    }
    jobs = github.runner.run(RETRAIN, "workflow_dispatch", handed)
    assert jobs["train"].result == "skipped"
    assert jobs["heal"].ended_with == {"look for the folder": 2}
    assert "there is no folder baselines/golden" in jobs["heal"].log


@pytest.mark.parametrize("event", ["repository_dispatch", "workflow_dispatch"])
def test_an_incident_rings_for_a_training_of_your_own_and_its_names_are_no_markup(github: GitHub, event: str) -> None:
    told = {"id": "a", "incident": "i", "stream": "dock\r# <b>x</b>\n# y", "model": "vfi", "cause": "noise", "link": ""}
    assert GITHUB_EVENT in yaml.safe_load(RETRAIN.read_text())[True]["repository_dispatch"]["types"]
    jobs = github.runner.run(RETRAIN, event, told)
    assert (jobs["heal"].result, jobs["train"].result) == ("skipped", "success")
    heading, *said = jobs["train"].summary.splitlines()
    assert heading == "## The red phone"
    assert all(line.startswith("    ") for line in said if line)
    assert "    # y" in said
    assert "\r" not in jobs["train"].summary


@pytest.mark.parametrize("file", [QUALITY, RETRAIN, CI], ids=lambda file: file.name)
def test_a_workflow_pins_what_it_uses_and_may_do_no_more_than_its_jobs_say(file: Path) -> None:
    text = file.read_text()
    workflow = yaml.safe_load(text)
    used = re.findall(r"uses: (.*)", text)
    assert used
    assert all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line) for line in used)
    assert workflow["permissions"] in ({}, {"contents": "read"})
    assert workflow["concurrency"]
    writing = {name for name, job in workflow["jobs"].items() if "write" in job.get("permissions", {}).values()}
    assert writing == ({"retrain"} if file == QUALITY else set())
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 90
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


CONTEXT = {
    "steps": {"judge": {"outputs": Open(code="1")}}, "inputs": Open(run="", name="Dock"), "github": {"event": Open()},
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${{ steps.judge.outputs.code }}", "1"),
        ("a ${{ inputs.run || 'it''s' }} b", "a it's b"),
        ("${{ inputs.nothing == '' }}", "true"),
        ("${{ github.event.client_payload.stream || inputs.name }}", "Dock"),
        ("${{ inputs.name == 'dock' && !(steps.judge.outputs.code != '1') }}", "true"),
        ("${{ inputs.name && inputs.run }}", ""),
    ],
)
def test_expressions_mean_what_they_mean_on_github(text: str, value: str) -> None:
    assert interpolated(text, CONTEXT) == value


@pytest.mark.parametrize(
    "text",
    [
        "steps.*.outputs",
        "contains(inputs.name, 'D')",
        "steps.juge.outputs.code",
        "inputs.name ==",
        "matrix.os",
        "1 < 2",
    ],
)
def test_an_expression_that_is_not_understood_is_refused_and_never_passed_over(text: str) -> None:
    with pytest.raises(UnknownExpression):
        interpolated(f"${{{{ {text} }}}}", CONTEXT)
    with pytest.raises(UnknownExpression):
        holds(f"${{{{ {text} }}}}", CONTEXT, State())


def test_a_condition_that_asks_for_no_state_wants_success() -> None:
    assert not holds("${{ inputs.name == 'dock' }}", CONTEXT, State(failed=True))
    assert holds("${{ !cancelled() && inputs.name == 'dock' }}", CONTEXT, State(failed=True))
    assert holds(None, CONTEXT, State())
    assert not holds(None, CONTEXT, State(failed=True))


@pytest.mark.slow  # a stack, a training
@pytest.mark.timeout(1800)
def test_what_failed_is_healed_by_a_stack_in_the_runner_and_its_weights_are_kept(github: GitHub) -> None:
    folder, repository = github.camera.folder, github.runner.repository
    record(folder / "long.mp4", seconds=36, fps=10, seed=2, scenes=SCENES[:1], **SIZE)
    sabotage(folder / "long.mp4", folder / "failed.mp4", Fault.NOISE, 4)
    github.has("failed")
    shutil.rmtree(repository / "baselines")
    github.has("golden", folder="baselines/golden")
    github.image.write_text(json.dumps({**github.camera.image, **github.camera.learning}))
    assert github.checks()["retrain"].result == "success"
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, repository / name)
        os.utime(repository / name, (0, 0))  # `make install` finds it installed
    (repository / ".venv").symlink_to(sys.prefix)
    shutil.copytree(folder / "state", repository / ".sentinel", dirs_exist_ok=True)
    quick = {
        "SENTINEL_COOLDOWN_SECONDS": "5", "SENTINEL_RETRAIN_STEPS": "100", "SENTINEL_PROMOTE_MAX_LOSS_DB": "5",
        "SENTINEL_PROMOTE_MAX_WORST_LOSS_DB": "10", "SENTINEL_PAGE_PORT": "0", "SENTINEL_FLOWER_PORT": "0",
        "SENTINEL_METRICS_PORT": "0", "SENTINEL_DEVICE": "cpu", "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    github.runner.environment = {**github.runner.environment, **github.camera.learning, **quick}
    jobs = github.runner.run(RETRAIN, "workflow_dispatch", github.started)
    assert jobs["heal"].result == "success", jobs["heal"].log
    assert "champion.promoted" in jobs["heal"].summary
    assert list(github.runner.artefact("champions").glob("vfi/v*/*"))
