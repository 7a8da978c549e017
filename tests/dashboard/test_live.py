"""Server-sent events of a real page: each event once, wherever the connection breaks; else it says so."""

from __future__ import annotations

import http.client
import json
import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from common.contracts.events import StreamCheck, StreamChecked
from common.ingest.accept import Ingestor
from common.settings import Settings
from common.store import Store, keys
from dashboard.live import MOST_READERS
from sentinel.stack.redis_server import RedisServer
from tests.dashboard.conftest import Page, feed, running_page
from tests.served import PATIENCE_SECONDS, wait_until


def announce(store: Store, number: int) -> None:
    check = StreamCheck(
        stream=f"s{number}", state="PASS", hours_since_last_frame=0.0, pending_chunks=0, drift_score=None
    )
    store.event_log.announce(StreamChecked.about(check, model="m", stream=f"s{number}"))


class Listener:
    """A browser that listens: `next` returns the next server-sent event that is no beat."""

    def __init__(self, page: Page, *, after: str = "", last: str = "") -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=PATIENCE_SECONDS)
        headers = {"Last-Event-ID": last} if last else {}
        self._connection.request("GET", f"/api/live?after={after}", headers=headers)
        self._answer = self._connection.getresponse()
        assert self._answer.status == 200
        self.last = last or after

    def close(self) -> None:
        self._connection.close()

    def every(self) -> Iterator[tuple[str, Any]]:
        name, at = "", ""
        while True:
            line = self._answer.readline().decode().rstrip("\n")
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("id: "):
                at = line.removeprefix("id: ")
            elif line.startswith("data: "):
                self.last = at or self.last
                yield name, json.loads(line.removeprefix("data: "))
                name, at = "", ""

    def events(self, count: int) -> list[str]:
        """Return the streams of the next `count` events."""
        found: list[str] = []
        rows = self.every()
        while len(found) < count:
            name, data = next(rows)
            assert name in {"event", "beat"}, (name, data)
            if name == "event":
                found.append(data["stream"])
        return found


@given(cuts=st.lists(st.integers(1, 12), min_size=1, max_size=6), before=st.integers(0, 5))
@hypothesis_settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_gap_and_nothing_twice_wherever_the_connection_breaks(
    page: Page, store: Store, cuts: list[int], before: int
) -> None:
    store.client.delete(keys.EVENTS)
    for number in range(before):
        announce(store, -number)
    at, seen, told = store.event_log.last_id(), list[str](), 0
    for read in cuts:
        for _ in range(read + random.Random(read).randrange(3)):
            announce(store, told)
            told += 1
        with closing(Listener(page, last=at)) as browser:
            seen += browser.events(read)
            at = browser.last
    with closing(Listener(page, last=at)) as browser:
        seen += browser.events(told - len(seen)) if told > len(seen) else []
    assert seen == [f"s{number}" for number in range(told)]


def test_what_is_told_first_and_live_events_after_it_leave_no_gap(page: Page, store: Store, ingestor: Ingestor) -> None:
    feed(ingestor, store, "dock", 0, noisy=False)
    at = page.get("/api/position").json["at"]
    feed(ingestor, store, "dock", 2, noisy=True)
    kinds = [event.type for event in store.event_log.events(after=at)]
    with closing(Listener(page, after=at)) as browser:
        rows = [data for name, data in (next(r) for r in [browser.every()] * (len(kinds) + 1)) if name == "event"]
    assert [row["type"] for row in rows][: len(kinds)] == kinds[: len(rows)]
    verdict = next(row for row in rows if row["type"] == "io.sentinel.verdict.fail.v1")
    assert verdict["about"]["status"] == "FAIL"
    assert verdict["stream"] == "dock"


def test_who_comes_back_too_late_is_told_to_ask_for_everything(page: Page, store: Store) -> None:
    announce(store, 1)
    at = store.event_log.last_id()
    for number in range(5):
        announce(store, number)
    store.client.xtrim(keys.EVENTS, maxlen=2, approximate=False)
    with closing(Listener(page, last=at)) as browser:
        name, _ = next(browser.every())
        assert name == "reset"
        assert browser.last == store.event_log.last_id()
        announce(store, 99)
        assert browser.events(1) == ["s99"]


@pytest.mark.parametrize("given_id", ["$", "+", "-", "99999999999999999999-0", "a", "1-1-1", "0-0 \u00e9"])
def test_an_id_that_is_none_begins_with_what_comes(page: Page, store: Store, given_id: str) -> None:
    announce(store, 1)
    with closing(Listener(page, last=given_id.encode("latin-1", "replace").decode("latin-1"))) as browser:
        assert next(browser.every())[0] == "beat"
        announce(store, 2)
        assert browser.events(1) == ["s2"]


def test_names_cannot_break_out_of_their_line(page: Page, store: Store) -> None:
    name = "a\n\ndata: x\r\nid: 7\u2028" + "<script>"
    check = StreamCheck(stream=name, state="PASS", hours_since_last_frame=0.0, pending_chunks=0, drift_score=None)
    at = store.event_log.last_id()
    store.event_log.announce(StreamChecked.about(check, model=name, stream=name))
    announce(store, 1)
    with closing(Listener(page, after=at)) as browser:
        assert browser.events(2) == [name, "s1"]


def test_while_redis_is_away_it_says_so_and_goes_on_without_a_gap(
    own_redis: RedisServer, settings: Settings, tmp_path: Path
) -> None:
    own = settings.model_copy(update={"redis_url": own_redis.url})
    folder = tmp_path / "page"
    folder.mkdir()
    store = Store(own_redis.url, own)
    with running_page(own, folder) as page:
        announce(store, 1)
        at = store.event_log.last_id()
        with closing(Listener(page, after=at)) as browser:
            rows = browser.every()
            assert next(rows)[0] == "beat"
            own_redis.stop()
            assert next(row for row in rows if row[0] != "beat")[0] == "trouble"
            own_redis.start()
            wait_until("Redis", Store(own_redis.url, own).client.ping)
            again = Store(own_redis.url, own)
            announce(again, 2)
            announce(again, 3)
            events = (data["stream"] for name, data in rows if name == "event")
            assert [next(events), next(events)] == ["s2", "s3"]


def test_a_browser_that_goes_leaves_its_place(page: Page, store: Store) -> None:
    for _ in range(MOST_READERS + 6):
        with closing(Listener(page)) as browser:
            next(browser.every())
