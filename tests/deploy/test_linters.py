"""What others read of this project is what they expect: Dockerfile, compose file, workflows, rules of Prometheus.

Each check runs offline, over what stands in the tree, and is shown something broken that it must catch.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml

from tests.deploy.kustomize import ROOT

BROKEN = Path(__file__).parent / "broken"
DOCKERFILES = sorted(ROOT.glob("Dockerfile*"))
WORKFLOWS = [
    *sorted((ROOT / ".github" / "workflows").glob("*.y*ml")),
    *sorted((ROOT / "deploy").rglob("github/**/*.y*ml")),
]
RULES = ROOT / "deploy" / "prometheus" / "alerts.yml"


def run(program: str, *arguments: str | Path) -> tuple[bool, str]:
    """Run a program of the same environment; return whether it was content, and what it said."""
    path = Path(sys.executable).with_name(program)
    ended = subprocess.run([path, *arguments], check=False, capture_output=True, text=True, cwd=ROOT)
    return ended.returncode == 0, ended.stdout + ended.stderr


def is_action(path: Path) -> bool:
    return path.name in {"action.yml", "action.yaml"}


def is_workflow(path: Path) -> bool:
    return "jobs" in (yaml.safe_load(path.read_text(encoding="utf-8")) or {})


def hadolint(files: Iterable[Path]) -> tuple[bool, str]:
    return run("hadolint", "--no-color", *files)


def schema(name: str, files: Iterable[Path]) -> tuple[bool, str]:
    return run("check-jsonschema", "--builtin-schema", f"vendor.{name}", *files)


def zizmor(files: Iterable[Path]) -> tuple[bool, str]:
    return run("zizmor", "--offline", "--no-progress", "--no-config", *files)


def promtool(kind: str, file: Path) -> tuple[bool, str]:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("no promtool: it is in Debian's package prometheus")
    ended = subprocess.run([program, "check", kind, file], check=False, capture_output=True, text=True)
    return ended.returncode == 0, ended.stdout + ended.stderr


def test_hadolint_accepts_each_dockerfile() -> None:
    assert DOCKERFILES
    content, said = hadolint(DOCKERFILES)
    assert content, said


def test_hadolint_refuses_a_dockerfile_that_pins_nothing_and_runs_as_root() -> None:
    content, said = hadolint([BROKEN / "Dockerfile"])
    assert not content
    assert {"DL3007", "DL3008", "DL3002"} <= set(said.split())


def test_the_compose_file_keeps_to_its_schema() -> None:
    content, said = schema("compose-spec", [ROOT / "docker-compose.yml"])
    assert content, said


def test_a_compose_file_with_a_key_that_there_is_not_is_refused() -> None:
    content, said = schema("compose-spec", [BROKEN / "docker-compose.yml"])
    assert not content
    assert "restarts" in said


def test_each_workflow_keeps_to_its_schema() -> None:
    workflows = [path for path in WORKFLOWS if is_workflow(path)]
    assert workflows
    content, said = schema("github-workflows", workflows)
    assert content, said


def test_each_action_keeps_to_its_schema() -> None:
    actions = [path for path in WORKFLOWS if is_action(path)]
    if not actions:
        pytest.skip("there is no action.yml")
    content, said = schema("github-actions", actions)
    assert content, said


def test_a_workflow_with_a_key_that_there_is_not_is_refused() -> None:
    content, said = schema("github-workflows", [BROKEN / "workflow.yml"])
    assert not content
    assert "runs_on" in said or "runs-on" in said


def test_zizmor_finds_nothing_in_workflows_and_actions() -> None:
    content, said = zizmor(path for path in WORKFLOWS if is_workflow(path) or is_action(path))
    assert content, said


def test_zizmor_finds_what_lets_others_run_scripts() -> None:
    content, said = zizmor([BROKEN / "unsafe_workflow.yml"])
    assert not content
    for finding in ("template-injection", "unpinned-uses", "excessive-permissions"):
        assert finding in said


def test_promtool_accepts_the_rules() -> None:
    content, said = promtool("rules", RULES)
    assert content, said


def test_promtool_accepts_what_prometheus_is_started_with_and_the_rules_that_it_names() -> None:
    content, said = promtool("config", RULES.with_name("prometheus.yml"))
    assert content, said
    assert "alerts.yml" in said or "1 rule files found" in said


def test_promtool_refuses_a_configuration_whose_rules_are_not_there() -> None:
    content, said = promtool("config", BROKEN / "prometheus.yml")
    assert not content
    assert "nowhere.yml" in said


def test_promtool_refuses_what_is_no_expression() -> None:
    content, said = promtool("rules", BROKEN / "alerts.yml")
    assert not content
    assert "ThisIsNoExpression" in said
