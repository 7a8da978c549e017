"""The story of a fault on a running stack: it fails, is healed for its stream alone, and a rollback brings it back.

Where there is a browser, somebody watches the healing on the page.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.broker import RETRAIN_QUEUE, RETRAIN_TASK, make_app
from common.contracts.events import EventType
from common.contracts.verdicts import Cause, Verdict
from common.settings import Settings
from sentinel.demo.footage import drop
from simulation.saboteur import Fault, sabotage
from simulation.virtual_camera import record
from tests.browser import Browser, find_browser, running_browser
from tests.converted import share_backbones
from tests.sentinel.conftest import Running, World, environment_in, start, wait_until
from tests.sentinel.watching import CONFIRMED_SECONDS, badge_of, events, verdicts, wait_for_batches

SECONDS = 36  # of a clip that is long enough for the gate to be sure, cuts between its scenes set aside
TRAINING_SECONDS = 600.0  # more than two busy cores take for it


@pytest.fixture(scope="module")
def healing_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A stack with a state of its own, and with footage so large that a model can be better than optical flow on it."""
    folder = tmp_path_factory.mktemp("healing")
    (folder / "sentinel.toml").touch()
    record(folder / "golden.mp4", seconds=20, fps=10, seed=1)
    share_backbones(tmp_path_factory, folder / "state")
    # Once there is a champion, each process that embeds scores it, and loads TensorFlow for that: one is enough.
    own = {"SENTINEL_COOLDOWN_SECONDS": "5", "SENTINEL_EMBED_PROCESSES": "1"}
    healing = World(folder, {**environment_in(folder), **own})
    built = healing.run("baseline", "build", str(folder / "golden.mp4"), "--name", "golden")
    assert built.returncode == 0, built.stderr
    running = start(healing)
    yield running
    if running.process.poll() is None:
        running.interrupt()


@pytest.fixture
def page(healing_stack: Running, tmp_path: Path) -> Iterator[Browser | None]:
    """The page of the stack in a browser, never loaded anew; None where there is no browser."""
    program = find_browser()
    if program is None:
        yield None
        return
    with running_browser(program, tmp_path) as browser:
        browser.size(1280, 900)
        browser.go(healing_stack.info.page_url)
        browser.wait("document.querySelector('main')?.innerText.length > 0")
        browser.run("window.loadedOnce = true")
        yield browser
        assert browser.run("window.loadedOnce") is True
        assert browser.problems == []


def shown(stack: Running, stream: str, clip: Path) -> list[Verdict]:
    """Drop a clip for `stream`, and return the verdicts on it."""
    known = verdicts(stack, stream)
    batches = len(events(stack, stream, EventType.BATCH_COMPLETE))
    drop(clip, stack.world.watch_dir / stream)
    wait_for_batches(stack, stream, batches + 1)
    return verdicts(stack, stream)[len(known) :]


def spoiled(clean: Path, fault: Fault, title: str) -> Path:
    """Return a spoiled copy of a clip; copies of different titles are different batches."""
    clip = clean.with_name(f"{fault.value} {title}.mp4")
    sabotage(clean, clip, fault, 4, title=title)
    return clip


def said(stack: Running, *arguments: str) -> Any:
    """Run a command, and return its JSON."""
    done = stack.world.run(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.timeout(1800)
def test_a_fault_fails_is_healed_for_its_stream_alone_and_a_rollback_brings_the_fail_back(
    healing_stack: Running, page: Browser | None
) -> None:
    stack = healing_stack
    golden = (stack.world.folder / "baselines" / "golden" / "arrays.npz").read_bytes()
    clean, other = stack.world.folder / "healed.mp4", stack.world.folder / "other.mp4"
    record(clean, seconds=SECONDS, fps=10, seed=11)
    record(other, seconds=CONFIRMED_SECONDS, fps=10, seed=12)
    # Whoever reaches the queue can send a task, but neither have a model trained that nobody called nor name another.
    app = make_app(Settings(_env_file=None, redis_url=stack.info.redis_url))  # type: ignore[call-arg]
    early = app.send_task(RETRAIN_TASK, kwargs={"model": "vfi"}, queue=RETRAIN_QUEUE).get(timeout=TRAINING_SECONDS)
    assert "not called" in early
    app.send_task(RETRAIN_TASK, kwargs={"model": "\n[red]nobody"}, queue=RETRAIN_QUEUE)
    app.close()

    first = shown(stack, "healed", spoiled(clean, Fault.NOISE, "first"))
    assert {(row.status, row.cause) for row in first} == {("FAIL", Cause.NOISE)}
    if page is not None:
        page.wait(f"{badge_of('healed')}.startsWith('FAIL noise since')", TRAINING_SECONDS)
        (incident,) = stack.store.streams.open_incidents("healed")
        page.run(f"location.hash = '#/incident/{incident.id}'")
        page.wait("!!document.querySelector('.progress progress')", TRAINING_SECONDS)
    assert {row.status for row in shown(stack, "hooded", spoiled(other, Fault.COVERED, "hood"))} == {"FAIL"}

    def is_healed() -> bool:
        champion = stack.store.champions.champion("vfi")
        return champion is not None and bool(champion.conditions)

    wait_until("the stream to be healed", is_healed, TRAINING_SECONDS)
    assert [(row["stream"], row["cause"]) for row in healed_of(stack)] == [("healed", "noise")]
    if page is not None:
        page.wait("document.querySelector('.gate')?.innerText.includes('promoted')", TRAINING_SECONDS)
        page.wait("document.querySelector('.gate img').naturalWidth > 0")
        page.wait("document.querySelector('.line').innerText.includes('promoted')", TRAINING_SECONDS)
        page.click("Models")
        page.wait("document.querySelector('.models')?.innerText.includes('champion')")
    assert "nobody" in " ".join(letter.reason for letter in stack.store.event_log.dead_letters())
    (condition,) = healed_of(stack)
    again = shown(stack, "healed", spoiled(other, Fault.NOISE, "again"))
    assert {row.status for row in again} == {"PASS"}
    assert {row.condition.id for row in again if row.condition} == {condition["id"]}
    assert all(row.condition for row in again)
    assert {row.status for row in shown(stack, "elsewhere", other.with_name("noise again.mp4"))} == {"FAIL"}
    assert (stack.world.folder / "baselines" / "golden" / "arrays.npz").read_bytes() == golden

    (before,) = said(stack, "incidents", "list", "--stream", "healed")
    assert (before["state"], before["cause"], before["id"]) == ("healed", "noise", condition["incident"])
    assert any("promoted" in action["outcome"] for action in before["actions"])
    back = stack.world.run("champions", "rollback", "vfi")
    assert back.returncode == 0, back.stderr
    assert healed_of(stack) == []
    late = shown(stack, "healed", spoiled(other, Fault.NOISE, "after the rollback"))
    assert {row.status for row in late} == {"FAIL"}
    (after,) = said(stack, "incidents", "list", "--stream", "healed")
    assert (after["state"], after["id"]) == ("failing", before["id"])
    assert "rollback" in {action["kind"] for action in after["actions"]}
    assert len(events(stack, "healed", EventType.INCIDENT_OPENED)) == 1

    wait_until("that FAIL to wait", lambda: "healed" in stack.store.champions.waiting("vfi"))
    assert {row["held"] for row in said(stack, "champions", "list")} == {True}
    assert "sentinel champions release vfi" in stack.world.run("champions", "list").stdout
    (hooded,) = said(stack, "incidents", "list", "--stream", "hooded")
    assert (hooded["state"], hooded["cause"]) == ("failing", "covered")
    assert not any(action["kind"] == "retrain" and "promoted" in action["outcome"] for action in hooded["actions"])
    assert said(stack, "champions", "release", "vfi")["held"] is False
    assert stack.store.champions.held("vfi") is None


def healed_of(stack: Running) -> list[dict[str, Any]]:
    """Return the conditions that the champion is proved on, as the command line shows them."""
    return list(said(stack, "champions", "show", "vfi")["conditions"])
