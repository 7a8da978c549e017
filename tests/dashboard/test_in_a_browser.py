"""The page in a real browser over real Redis: hostile names are text, states are written, updates need no reload."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from common.contracts.batches import SourceRequest
from common.contracts.dead_letters import DeadLetterKind
from common.errors import BadSource
from common.ingest.accept import Ingestor
from common.settings import Settings
from common.store import Store
from common.store.event_log import dead_letter
from dashboard.app import STATIC
from tests.browser import Browser, find_browser, running_browser
from tests.common.builders import record
from tests.dashboard.conftest import Page, feed, running_page

CHROMIUM = find_browser()
MOST_BYTES = 300_000

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: install one to see the page in a browser")

SCRIPT = "<script>window.pwned = 1</script><img src=x onerror='window.pwned = 1'>"
NAMES = (SCRIPT, "[/red]", "x" * 200, "ירושלים مرحبا", "a'b\"c&amp;%2F#?")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    assert CHROMIUM is not None
    with running_browser(CHROMIUM, tmp_path_factory.mktemp("browser")) as running:
        yield running


@pytest.fixture
def seen(browser: Browser, page: Page) -> Iterator[Browser]:
    """A browser on the page, whose console has nothing to say afterwards."""
    browser.size(1280, 900)
    browser.problems.clear()
    browser.go("about:blank")
    yield browser
    assert browser.problems == []


def at(page: Page, place: str = "") -> str:
    return f"http://127.0.0.1:{page.port}/#/{place}"


def test_names_from_outside_are_text_wherever_they_stand(
    page: Page, seen: Browser, ingestor: Ingestor, store: Store
) -> None:
    for name in NAMES:
        feed(ingestor, store, name, 0, noisy=True)
    reason = f"{SCRIPT}\n\u202e{'y' * 300}"
    letter = dead_letter(
        DeadLetterKind.SOURCE, SCRIPT, "s", BadSource(reason), SourceRequest(stream=SCRIPT, uri="/none")
    )
    store.event_log.bury(letter)
    assert page.act("mute", stream=SCRIPT, seconds=60, by=SCRIPT).status == 200
    seen.go(at(page))
    shown = seen.wait(
        f"(t => t.length === {len(NAMES)} && t)([...document.querySelectorAll('.tile')]"
        ".map(t => t.querySelector('bdi').textContent))"
    )
    assert sorted(shown) == sorted(NAMES)
    for name in NAMES:
        seen.run(f"location.hash = '#/stream/' + encodeURIComponent({json.dumps(name)})")
        seen.wait(f"document.querySelector('h1 bdi')?.textContent === {json.dumps(name)}")
        (incident,) = store.streams.open_incidents(name)
        seen.run(f"location.hash = '#/incident/{incident.id}'")
        seen.wait(f"document.querySelector('.crumb bdi')?.textContent === {json.dumps(name)}")
    seen.run("location.hash = '#/stack'")
    seen.wait(f"document.querySelector('.letters')?.textContent.includes({json.dumps(SCRIPT)})")
    seen.run("location.hash = '#/incidents'")
    seen.wait("document.querySelectorAll('.list tbody tr').length >= 5")
    assert seen.run("window.pwned === undefined && !document.querySelector('main script, main img[src=x]')")
    assert seen.run("document.documentElement.scrollWidth <= innerWidth")


def test_a_verdict_reaches_the_page_and_filters_find_its_stream(
    page: Page, seen: Browser, ingestor: Ingestor, store: Store
) -> None:
    feed(ingestor, store, "dock", 0, noisy=False)
    feed(ingestor, store, "yard", 0, noisy=False)
    seen.go(at(page))
    seen.wait("document.querySelectorAll('.tile.pass').length === 2")
    seen.run("window.loadedOnce = true")
    feed(ingestor, store, "yard", 2, noisy=True)
    seen.wait("document.querySelector('.tile.fail')?.stream === 'yard'")
    seen.click("Failing 1")
    visible = "[...document.querySelectorAll('.tile:not([hidden])')].map(t => t.stream).join()"
    assert seen.wait(visible) == "yard"
    seen.click("All 2")
    seen.run(
        "(b => { b.value = 'DOC'; b.dispatchEvent(new Event('input')); })(document.querySelector('[type=search]'))"
    )
    assert seen.run(visible) == "dock"
    age = "Number(/([0-9]+) s ago/.exec(document.querySelector('.tile:not([hidden])').textContent)[1])"
    before = seen.run(age)
    seen.wait(f"{age} > {before}")  # nothing comes, and that is seen
    assert seen.run("window.loadedOnce") is True


def test_a_reader_with_a_keyboard_gets_everywhere(page: Page, seen: Browser, ingestor: Ingestor, store: Store) -> None:
    feed(ingestor, store, "dock", 0, noisy=True)
    seen.go(at(page))
    seen.wait("!!document.querySelector('.tile')")
    reachable = "[...document.querySelectorAll('main a, main button, main input')].every(e => e.tabIndex === 0)"
    assert seen.run(reachable)
    assert seen.run(
        "[...document.querySelectorAll('button, input, a')].every(e => e.textContent.trim() || e.ariaLabel)"
    )
    seen.go(at(page, "stream/dock"))
    seen.click("Mute")
    seen.wait(
        "document.getElementById('dialog').open && document.getElementById('dialog').contains(document.activeElement)"
    )
    seen.click("Cancel")
    seen.wait("!document.getElementById('dialog').open")


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_sticks_out_on_any_screen(
    page: Page, seen: Browser, ingestor: Ingestor, store: Store, width: int, dark: bool
) -> None:
    feed(ingestor, store, "x" * 200, 0, noisy=True)
    (incident,) = store.streams.open_incidents("x" * 200)
    seen.size(width, 844, dark=dark)
    for place in ("", "stream/" + "x" * 200, f"incident/{incident.id}", "incidents", "models", "stack"):
        seen.go("about:blank")
        seen.go(at(page, place))
        seen.wait("!!document.querySelector('main h1')")
        assert seen.run("document.documentElement.scrollWidth <= innerWidth"), place
    background = seen.run("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(14, 19, 25)") is dark


@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing_serious_on_any_page(
    page: Page, seen: Browser, ingestor: Ingestor, store: Store, dark: bool
) -> None:
    feed(ingestor, store, "yard", 0, noisy=False)
    feed(ingestor, store, "dock", 0, noisy=True)
    (incident,) = store.streams.open_incidents("dock")
    assert store.champions.promote(record(1), over=0)
    letter = dead_letter(DeadLetterKind.SOURCE, "dock", "s", BadSource("x"), SourceRequest(stream="dock", uri="/none"))
    store.event_log.bury(letter)
    seen.size(1280, 900, dark=dark)
    axe = (files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8")
    for place, there in (
        ("", ".tile.fail"),
        ("stream/dock", ".plots canvas"),
        (f"incident/{incident.id}", "ol.story li"),
        ("incidents", ".list tbody tr"),
        ("models", "main article"),
        ("stack", ".letters"),
    ):
        seen.go("about:blank")
        seen.go(at(page, place))
        seen.wait(f"!!document.querySelector({json.dumps(there)})")
        assert serious(seen, axe) == [], place
    seen.go(at(page, "stream/dock"))
    for act in ("Mute", "Acknowledge"):
        seen.click(act)
        seen.wait("document.getElementById('dialog').open")
        assert serious(seen, axe) == [], act
        seen.click("Cancel")
        seen.wait("!document.getElementById('dialog').open")
    seen.go(f"http://127.0.0.1:{page.port}/api.html")
    seen.wait("document.querySelectorAll('main *').length > 20")
    assert serious(seen, axe) == []
    seen.run("document.querySelector('main').append(Object.assign(new Image(), {src: 'icon.svg'})), 1")
    (found,) = serious(seen, axe)
    assert found.startswith("image-alt"), "it would say so"


def serious(browser: Browser, axe: str) -> list[str]:
    """Return what axe-core finds of serious or critical impact, with the elements that have it."""
    browser.run(axe)  # by the browser's own means: the page's content policy lets no other script in
    looked_at, found = browser.run(
        "axe.run({resultTypes: ['violations']}).then(r => [r.passes.length, r.violations"
        ".filter(v => ['serious', 'critical'].includes(v.impact))"
        ".map(v => v.id + ': ' + v.nodes.map(n => n.html.slice(0, 150) + ' ' + n.failureSummary).join(' | '))])"
    )
    assert looked_at > 5
    return list(found)


def test_with_a_token_it_asks_for_it_first(
    page_settings: Settings, browser: Browser, tmp_path: Path, store: Store, ingestor: Ingestor
) -> None:
    feed(ingestor, store, "dock", 0, noisy=False)
    with running_page(page_settings, tmp_path, SENTINEL_PAGE_TOKEN="opens") as locked:
        browser.go(at(locked))
        browser.wait("!!document.getElementById('token')")
        assert "dock" not in browser.text()
        browser.run("document.getElementById('token').value = 'wrong'")
        browser.click("Log in")
        browser.wait("document.getElementById('toast').textContent.includes('not the token')")
        browser.run("document.getElementById('token').value = 'opens'")
        browser.click("Log in")
        browser.wait("document.querySelector('.tile bdi')?.textContent === 'dock'")
        assert browser.run("document.cookie") == ""


def test_the_page_is_small(page: Page) -> None:
    files = [path for path in STATIC.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < MOST_BYTES
    assert not [
        path for path in files if path.suffix == ".js" and "innerHTML" in path.read_text() and "uplot" not in str(path)
    ]
