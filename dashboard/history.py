"""The latest verdicts of every stream, kept in memory: what the page draws over time.

Redis keeps events in one Stream for all; to read it whole for each look at one camera would take seconds. So the
page reads each event once, as it is announced.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import redis
from pydantic import Field

from common.contracts.events import Event, WindowFailed, WindowPassed
from common.contracts.ids import Message
from common.contracts.verdicts import Cause, Status, Verdict
from common.errors import BrokerUnavailable
from common.store import Store

log = logging.getLogger(__name__)

BARS = 48
"""Parts of the last day in a heartbeat bar: half an hour each."""
_BAR_SECONDS = 86_400 // BARS
_DAY_SECONDS = 86_400
_MOST_POINTS = 720  # of one stream, the latest
_MOST_STREAMS = 5_000
_PAGE = 500  # events read at a time
_PAUSE_SECONDS = 0.3  # between two looks for new events
_PASSED, _HEALED, _FAILED, _NOTHING = "pofn"


class Point(Message):
    """One verdict, as it is drawn."""

    at: float = Field(description="capture time of its last frame, else when it was announced; seconds since the epoch")
    drift_score: float
    p_value: float
    status: Status
    cause: Cause | None = None
    provisional: bool = False


_Row = tuple[float, float, float, Status, Cause | None, bool]
"""A `Point`, in a fifth of its memory."""


@dataclass
class _Stream:
    points: deque[_Row] = field(default_factory=lambda: deque(maxlen=_MOST_POINTS))
    bars: dict[int, str] = field(default_factory=dict)


class History:
    """Verdicts since a day ago, read from the events. `run` follows them; the other methods may be called meanwhile."""

    def __init__(self) -> None:
        self._streams: dict[str, _Stream] = {}
        self._lock = threading.Lock()
        self._after = f"{int((time.time() - _DAY_SECONDS) * 1000)}-0"

    def run(self, store: Store, stop: threading.Event) -> None:
        """Follow the events until `stop` is set; while Redis is away, wait and go on."""
        while not stop.is_set():
            try:
                if self.step(store) == _PAGE:
                    continue
            except (redis.RedisError, BrokerUnavailable, OSError) as error:
                log.warning("trying again after %s: %s", type(error).__name__, error)
            stop.wait(_PAUSE_SECONDS)

    def step(self, store: Store) -> int:
        """Read the next events; return how many there were."""
        count = 0
        for event in store.event_log.events(after=self._after, limit=_PAGE):
            count += 1
            self._after = event.entry_id
            self.add(event)
        return count

    def add(self, event: Event) -> None:
        """Add an event; those that are no verdict change nothing."""
        if not isinstance(event, WindowPassed | WindowFailed):
            return
        with self._lock:
            known = self._streams.get(event.stream)
            if known is None:
                if len(self._streams) >= _MOST_STREAMS:
                    del self._streams[next(iter(self._streams))]
                known = self._streams[event.stream] = _Stream()
            known.points.append(_row(event.verdict, event.time))
            bar = int(event.time // _BAR_SECONDS)
            known.bars[bar] = _worse(known.bars.get(bar, _NOTHING), _letter(event.verdict))
            for old in [at for at in known.bars if at <= bar - BARS]:
                del known.bars[old]

    def points(self, stream: str) -> tuple[Point, ...]:
        """Return the latest verdicts of `stream`, oldest first."""
        with self._lock:
            known = self._streams.get(stream)
            rows = list(known.points) if known else []
        return tuple(_point(row) for row in rows)

    def day(self, stream: str, now: float) -> str:
        """Return a letter for each half hour of the last day: `n` no verdict, `p` passed, `o` passed as healed or
        provisional, `f` one failed."""
        last = int(now // _BAR_SECONDS)
        with self._lock:
            known = self._streams.get(stream)
            bars = dict(known.bars) if known else {}
        return "".join(bars.get(bar, _NOTHING) for bar in range(last - BARS + 1, last + 1))


def _row(verdict: Verdict, announced: float) -> _Row:
    at = verdict.taken_to if verdict.taken_to is not None else announced
    return at, verdict.drift_score, verdict.p_value, verdict.status, verdict.cause, verdict.provisional


def _point(row: _Row) -> Point:
    at, score, p_value, status, cause, provisional = row
    return Point(at=at, drift_score=score, p_value=p_value, status=status, cause=cause, provisional=provisional)


def _letter(verdict: Verdict) -> str:
    if verdict.status is Status.FAIL:
        return _FAILED
    return _HEALED if verdict.condition is not None or verdict.provisional else _PASSED


def _worse(one: str, other: str) -> str:
    order: Callable[[str], int] = (_NOTHING + _PASSED + _HEALED + _FAILED).index
    return max(one, other, key=order)
