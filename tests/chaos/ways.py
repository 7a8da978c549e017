"""The ways in that have a process of their own: each is fed while that process is killed, and keeps its own books."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from common.contracts.batches import BatchReport
from common.contracts.events import Event, EventType
from common.drift.windows import WindowRule
from common.store import Store
from tests.chaos.decisions import Row
from tests.chaos.world import Expected, Pool

_PAUSE_SECONDS = (0.05, 0.4)  # between two things that are fed, least and most
_BUSY_SECONDS = 0.5  # for which nothing is fed while its streams have enough in hand
_END_SECONDS = 90.0  # for what is on its way when the feeding ends


class Way(Protocol):
    """One way in.

    Attributes
    ----------
    role : the process that accepts what comes this way
    streams : what is fed into, and nothing else feeds
    environment : what the stack has to know of it
    expected : what was fed; whole once `settle` returned true
    """

    role: str
    streams: tuple[str, ...]
    environment: Mapping[str, str]
    expected: Expected

    def table(self, stream: str) -> str:
        """Return further lines of the stream's table in sentinel.toml."""

    def begin(self, store: Store) -> None:
        """Wait until something can be fed. The stack runs, and nothing is killed yet."""

    def feed(self) -> None:
        """Feed one thing, and return once this way has it for good."""

    def settle(self) -> bool:
        """Feed nothing any more; return whether `expected` is whole."""

    def rows(self, reports: Sequence[BatchReport]) -> list[Row]:
        """Return what is to be compared beyond the counts of frames, batches and verdicts.

        Parameters
        ----------
        reports : of the batches of `streams` that are complete
        """

    def close(self) -> None:
        """End its server."""


MakeWay = Callable[[Pool, Path, WindowRule, random.Random], Way]


class Ways:
    """All ways of a run, each fed in a thread of its own until `end`.

    Parameters
    ----------
    has_room : returns whether streams may be given more
    """

    def __init__(self, ways: Sequence[Way], has_room: Callable[[Sequence[str]], bool]) -> None:
        self._ways = ways
        self._has_room = has_room
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self.problems: list[str] = []

    @property
    def roles(self) -> tuple[str, ...]:
        return tuple(way.role for way in self._ways)

    @property
    def streams(self) -> tuple[str, ...]:
        return tuple(stream for way in self._ways for stream in way.streams)

    @property
    def expected(self) -> list[Expected]:
        """What was fed each way."""
        return [way.expected for way in self._ways]

    @property
    def environment(self) -> dict[str, str]:
        return {name: value for way in self._ways for name, value in way.environment.items()}

    def config(self) -> str:
        """Return the sentinel.toml of their streams.

        No score is above 1, so none of them fails: what retrainings there are is for the streams that act.
        """
        return "".join(
            f'[streams."{stream}"]\ndrift_threshold = 1.0\n{way.table(stream)}\n'
            for way in self._ways
            for stream in way.streams
        )

    def begin(self, store: Store) -> None:
        """Feed from now on."""
        for way in self._ways:
            way.begin(store)
        self._threads = [
            threading.Thread(target=self._feed, args=(way,), name=way.role, daemon=True) for way in self._ways
        ]
        for thread in self._threads:
            thread.start()

    def _feed(self, way: Way) -> None:
        rng = random.Random(way.role)
        try:
            while not self._stop.wait(rng.uniform(*_PAUSE_SECONDS)):
                if self._has_room(way.streams):
                    way.feed()
                else:
                    self._stop.wait(_BUSY_SECONDS)
        except Exception as error:
            self.problems.append(f"{way.role}: could not be fed: {error!r}")

    def end(self) -> None:
        """Feed nothing new; what is on its way arrives."""
        self._stop.set()
        deadline = time.monotonic() + _END_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                self.problems.append(f"{thread.name}: does not take what it is fed")

    def settle(self) -> bool:
        """Return whether it is known of all ways what must come of them."""
        settled = [way.settle() for way in self._ways]
        return all(settled)

    def rows(self, events: Sequence[Event]) -> list[Row]:
        """Return what each way compares by itself."""
        reports = [event.report for event in events if event.type is EventType.BATCH_COMPLETE]
        rows: list[Row] = []
        for way in self._ways:
            own = [report for report in reports if report.stream in way.streams]
            ids = {report.batch_id for report in own}
            rows.append((f"{way.role}: batches complete twice", 0, len(own) - len(ids)))
            rows += [(f"{way.role}: {what}", want, have) for what, want, have in way.rows(own)]
        return rows

    def close(self) -> None:
        for way in self._ways:
            way.close()
