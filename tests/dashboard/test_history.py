"""The verdicts that the page draws: read once each, bounded, and told by stream."""

from __future__ import annotations

import time

from common.contracts.events import Event, WindowFailed, WindowPassed
from common.contracts.verdicts import Status
from common.store import Store
from dashboard.history import BARS, History
from tests.common.builders import verdict

MOST = 720


def announced(stream: str = "dock", *, status: Status = Status.FAIL, at: float, number: int = 0) -> Event:
    made = verdict(stream=stream, status=status, stop=48 + number)
    kind = WindowFailed if status is Status.FAIL else WindowPassed
    return kind.about(made, model="vfi", stream=stream, key=made.id).model_copy(update={"time": at})


def test_each_event_is_read_once_and_an_outage_changes_nothing(store: Store) -> None:
    history, now = History(), time.time()
    for number in range(3):
        store.event_log.announce(announced(at=now, number=number))
    assert history.step(store) == 3
    assert history.step(store) == 0
    store.event_log.announce(announced(at=now, number=9))
    assert history.step(store) == 1
    assert len(history.points("dock")) == 4


def test_a_half_hour_is_as_bad_as_its_worst_verdict() -> None:
    history, now = History(), 1_800_000_000.0 + 60.0
    history.add(announced(status=Status.PASS, at=now - 1800))
    history.add(announced(status=Status.PASS, at=now))
    history.add(announced(status=Status.FAIL, at=now + 1))
    history.add(announced(status=Status.PASS, at=now + 2))
    assert history.day("dock", now + 3) == "n" * (BARS - 2) + "pf"
    assert history.day("dock", now + 1800) == "n" * (BARS - 3) + "pfn"
    assert history.day("dock", now + 86_400 + 1800) == "n" * BARS
    assert history.day("nobody", now) == "n" * BARS


def test_a_stream_keeps_its_latest_verdicts_and_no_more() -> None:
    history, now = History(), time.time()
    for number in range(MOST + 50):
        history.add(announced(at=now + number, number=number))
    points = history.points("dock")
    assert len(points) == MOST
    assert points[-1].at == now + MOST + 49
