"""Runs a workflow file of GitHub Actions: every script by bash, in order, in the shell line that GitHub uses.

What is not GitHub's: the actions that are used are played (a checkout copies a folder, an artefact is a folder in
`artefacts`), and jobs run on this machine, one after the other. A key of the file or an action that is not known here
is an error, so that a workflow cannot say something that its test passes over.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.expressions import Open, State, holds, interpolated

_WORKFLOW = {"name", True, "permissions", "defaults", "concurrency", "jobs"}  # YAML takes `on` for a truth value
_JOB = {"name", "needs", "if", "runs-on", "timeout-minutes", "permissions", "outputs", "env", "steps"}
_STEP = {"name", "id", "if", "env", "run", "uses", "with"}
_SHELL = ["bash", "--noprofile", "--norc", "-eo", "pipefail"]  # what `shell: bash` stands for
_PATIENCE_SECONDS = 1200


@dataclass
class JobRun:
    """What became of a job."""

    result: str = "skipped"
    outputs: dict[str, object] = field(default_factory=dict)
    log: str = ""
    summary: str = ""
    ended_with: dict[str, int] = field(default_factory=dict)
    """Exit codes of the scripts that ran, by the names of their steps."""


@dataclass
class Runner:
    """Runs the jobs of one workflow.

    Attributes
    ----------
    repository : what a checkout copies
    folder : an empty one, for workspaces and artefacts
    environment : of the machine that runs the jobs
    """

    repository: Path
    folder: Path
    environment: Mapping[str, str]
    variables: Mapping[str, str] = field(default_factory=dict)
    run_id: str = "1"

    def run(self, file: Path, event: str, given: Mapping[str, str]) -> dict[str, JobRun]:
        """Run the workflow in `file`, started by `event` with the inputs or the payload `given`."""
        workflow = yaml.safe_load(file.read_text())
        _know(workflow, _WORKFLOW)
        assert workflow["defaults"] == {"run": {"shell": "bash"}}
        payload = Open(given) if event == "repository_dispatch" else Open()
        github = {
            "event": Open(client_payload=payload), "ref": "refs/heads/main", "token": "t0ken",
        }  # fmt: skip
        inputs = _inputs(workflow[True], given) if event == "workflow_dispatch" else Open()
        context: dict[str, object] = {"github": github, "inputs": inputs, "vars": Open(self.variables)}
        interpolated(workflow["concurrency"]["group"], context)
        runs: dict[str, JobRun] = {}
        for name, job in workflow["jobs"].items():
            _know(job, _JOB)
            needed = {other: runs[other] for other in [job["needs"]] if other} if "needs" in job else {}
            needs = {other: {"result": run.result, "outputs": run.outputs} for other, run in needed.items()}
            state = State(failed=any(run.result != "success" for run in needed.values()))
            runs[name] = JobRun()
            if holds(job.get("if"), {**context, "needs": needs}, state):
                self._job(name, job, {**context, "needs": needs}, runs[name])
        return runs

    def _job(self, name: str, job: Mapping[str, Any], context: dict[str, object], run: JobRun) -> None:
        workspace = self.folder / f"workspace-{name}"
        workspace.mkdir()
        steps: dict[str, object] = {}
        environment = {key: interpolated(value, context) for key, value in job.get("env", {}).items()}
        failed = False
        for number, step in enumerate(job["steps"]):
            _know(step, _STEP)
            own = {**context, "steps": steps, "env": environment}
            if not holds(step.get("if"), own, State(failed=failed)):
                if "id" in step:
                    steps[step["id"]] = {"outputs": Open()}
                continue
            if "uses" in step:
                self._use(step, own, workspace)
                continue
            files = {kind: self.folder / f"{name}-{number}-{kind}" for kind in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
            for path in files.values():
                path.touch()
            told = {key: interpolated(value, own) for key, value in step.get("env", {}).items()}
            code = self._script(step["run"], workspace, {**environment, **told}, files, run)
            run.ended_with[step["name"]] = code
            failed = failed or code != 0
            run.summary += files["GITHUB_STEP_SUMMARY"].read_text()
            if "id" in step:
                steps[step["id"]] = {"outputs": Open(_assignments(files["GITHUB_OUTPUT"]))}
        run.result = "failure" if failed else "success"
        reached = {**context, "steps": steps}
        run.outputs = {key: interpolated(value, reached) for key, value in job.get("outputs", {}).items()}

    def _script(
        self, script: str, workspace: Path, told: Mapping[str, str], files: Mapping[str, Path], run: JobRun
    ) -> int:
        assert "${{" not in script, "what comes from outside stands in a script only by its environment"
        path = self.folder / "script.sh"
        path.write_text(script)
        environment = {
            **self.environment, "GITHUB_REPOSITORY": "lab/vfi", "GITHUB_REF_NAME": "main",
            "GITHUB_RUN_ID": self.run_id, "GITHUB_WORKSPACE": str(workspace), "RUNNER_TEMP": str(self.folder),
            **{kind: str(file) for kind, file in files.items()}, **told,
        }  # fmt: skip
        process = subprocess.Popen(
            [*_SHELL, str(path)], cwd=workspace, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        try:
            said, _ = process.communicate(timeout=_PATIENCE_SECONDS)
        except BaseException:  # whatever ended the test ends what the script has started
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
            raise
        run.log += said
        return process.returncode

    def _use(self, step: Mapping[str, Any], context: Mapping[str, object], workspace: Path) -> None:
        action, _, commit = step["uses"].partition("@")
        assert len(commit) == 40, f"{action} is not pinned to a commit"
        told = {key: interpolated(value, context) for key, value in step.get("with", {}).items()}
        _ACTIONS[action](self, told, workspace)

    def _checkout(self, told: dict[str, str], workspace: Path) -> None:
        assert told == {"persist-credentials": "false"}
        shutil.copytree(self.repository, workspace, symlinks=True, dirs_exist_ok=True)

    def _setup_python(self, told: dict[str, str], workspace: Path) -> None:
        assert told.keys() == {"python-version"}

    def _upload(self, told: dict[str, str], workspace: Path) -> None:
        assert told.keys() == {"name", "path", "if-no-files-found", "retention-days"}
        source = workspace / told["path"]
        if source.is_dir() and any(source.iterdir()):
            shutil.copytree(source, self.artefact(told["name"]))
        else:
            assert told["if-no-files-found"] == "ignore"

    def artefact(self, name: str) -> Path:
        """Return the folder with what was uploaded by this name."""
        return self.folder / "artefacts" / self.run_id / name


_ACTIONS: Mapping[str, Callable[[Runner, dict[str, str], Path], None]] = {
    "actions/checkout": Runner._checkout,
    "actions/setup-python": Runner._setup_python,
    "actions/upload-artifact": Runner._upload,
}


def _know(found: Mapping[object, object], known: set[Any]) -> None:
    assert set(found) <= known, f"not known here: {set(found) - known}"


def _inputs(triggers: Mapping[str, Any], given: Mapping[str, str]) -> Open:
    """Return the inputs, with their defaults; GitHub refuses others than are declared, and runs without a required."""
    declared = triggers["workflow_dispatch"]["inputs"]
    assert set(given) <= set(declared), f"unexpected inputs: {set(given) - set(declared)}"
    missing = {name for name, about in declared.items() if about.get("required")} - set(given)
    assert not missing, f"required inputs: {missing}"
    return Open({name: given.get(name, about.get("default", "")) for name, about in declared.items()})


def _assignments(file: Path) -> dict[str, object]:
    """Return what a script wrote to GITHUB_OUTPUT, one `name=value` a line."""
    return dict(line.split("=", 1) for line in file.read_text().splitlines())


def machine(programs: Path) -> dict[str, str]:
    """Return the environment of a machine that has `programs` first in its PATH, and no setting of Sentinel."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("SENTINEL_", "GITHUB_", "GH_"))}
    return {**own, "PATH": f"{programs}{os.pathsep}{own['PATH']}"}
