"""A real browser on the page of a real stack: what happens to cameras is seen there, and what people say is done."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from simulation.saboteur import Fault, sabotage
from simulation.virtual_camera import record
from tests.browser import Browser, find_browser, running_browser
from tests.converted import share_backbones
from tests.sentinel.conftest import SIZE, Running, World, start
from tests.sentinel.watching import CONFIRMED_SECONDS, badge_of

CHROMIUM = find_browser()
JUDGED_SECONDS = 300.0  # two slow cores decode, embed and judge, beside a retraining and a browser

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: install one to see the page in a browser")


@pytest.fixture(scope="module")
def watched(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A stack of its own, whose Redis may be killed."""
    state = world.folder / "watched"
    share_backbones(tmp_path_factory, state)
    own = {"SENTINEL_STATE_DIR": str(state), "SENTINEL_WATCH_DIR": str(world.folder / "watched-in")}
    running = start(_In(world.folder, {**world.environment, **own}))
    yield running
    if running.process.poll() is None:
        running.interrupt()


class _In(World):
    """The same footage and baseline, with folders of its own."""

    @property
    def watch_dir(self) -> Path:
        return self.folder / "watched-in"

    @property
    def state_dir(self) -> Path:
        return self.folder / "watched"


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    assert CHROMIUM is not None
    with running_browser(CHROMIUM, tmp_path) as running:
        running.size(1280, 900)
        yield running


def drop(stack: Running, stream: str, clip: Path) -> None:
    """Let a clip come in, as a camera would."""
    folder = stack.world.watch_dir / stream
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(clip, folder / clip.name)


PICTURES = (
    "Object.fromEntries([...document.querySelectorAll('.frame')].map(f => "
    "[f.querySelector('b').textContent, f.querySelector('img')?.naturalWidth ?? 0]))"
)


@pytest.mark.timeout(900)
def test_what_happens_to_cameras_is_seen_and_answered_without_a_reload(
    watched: Running, browser: Browser, tmp_path: Path
) -> None:
    stack, fault = watched, "<b>dock</b> & 'gate'"
    clean = stack.world.folder / "clean.mp4"
    other, noise, hood = (tmp_path / f"{name}.mp4" for name in ("other", "noise", "hood"))
    record(other, seconds=CONFIRMED_SECONDS, fps=10, seed=12, **SIZE)
    sabotage(other, noise, Fault.NOISE, 4)
    sabotage(other, hood, Fault.COVERED, 4)

    browser.go(stack.info.page_url)
    browser.wait("document.body.innerText.includes('No streams yet')")
    browser.run("window.loadedOnce = true")
    drop(stack, fault, clean)
    browser.wait(f"{badge_of(fault)}.startsWith('PASS')", JUDGED_SECONDS)

    drop(stack, fault, noise)
    browser.wait(f"{badge_of(fault)}.startsWith('FAIL noise since')", JUDGED_SECONDS)
    browser.run("document.querySelector('.tile').click()")
    browser.wait("document.querySelector('h1')?.textContent.includes('gate')")
    assert browser.run("document.querySelector('h1 bdi').textContent") == fault
    browser.wait(f"(p => p['Reference'] > 0 && p['Event: noise'] > 0 && p['Present'] > 0)({PICTURES})", JUDGED_SECONDS)
    browser.wait("document.querySelectorAll('.plots canvas').length === 2")

    browser.click("Acknowledge")
    browser.run("document.getElementById('by').value = 'Ann <i>'; document.getElementById('dialog-yes').click()")
    browser.wait("document.querySelector('.head').innerText.includes('seen by Ann <i>')", JUDGED_SECONDS)

    (redis,) = [process for process in stack.family() if "redis-server" in process.name()]
    redis.kill()
    psutil.wait_procs([redis], timeout=30)
    browser.wait("document.getElementById('clock').classList.contains('stale')")
    browser.wait("document.getElementById('clock').classList.contains('fresh')")

    browser.click("Streams")
    drop(stack, "hooded", hood)
    browser.wait(f"{badge_of('hooded')}.startsWith('FAIL covered since')", JUDGED_SECONDS)

    browser.run(f"location.hash = '#/stream/' + encodeURIComponent({json.dumps(fault)})")
    browser.click("Accept as new normal")
    browser.wait("document.getElementById('dialog').open", JUDGED_SECONDS)
    browser.run("document.getElementById('why').value = 'a new lamp'; document.getElementById('dialog-yes').click()")
    browser.wait("document.querySelector('.past')?.innerText.includes('a new lamp')", JUDGED_SECONDS)
    browser.wait("!document.querySelector('.head .cause a')", JUDGED_SECONDS)

    assert browser.run("window.loadedOnce") is True
    assert browser.run("document.querySelectorAll('main b').length >= 0 && !document.querySelector('bdi b, bdi i')")
    assert browser.problems == []


def test_the_stack_page_shows_every_process(watched: Running, browser: Browser) -> None:
    browser.go(f"{watched.info.page_url}/#/stack")
    rows = "[...document.querySelectorAll('.processes tbody tr')].map(row => row.cells[0].textContent)"
    names = browser.wait(f"(rows => rows.length > 5 && rows)({rows})")
    assert {"embed", "reduce", "page", "flower"} <= set(names)
    browser.go(f"{watched.info.page_url}/api.html")
    browser.wait("document.body.innerText.includes('POST /api/actions/accept')")
    assert browser.problems == []
