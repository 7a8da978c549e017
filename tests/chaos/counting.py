"""Whether every frame was counted once: what was fed, and what Redis says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from common.contracts.events import Event, EventType
from common.drift.windows import WindowState
from common.store import Store
from tests.chaos.decisions import Row
from tests.chaos.world import Expected


def complete_batches(events: Sequence[Event]) -> Counter[str]:
    """Return how many batches were reported complete, by stream."""
    return Counter(event.stream for event in events if event.type is EventType.BATCH_COMPLETE)


def verdict_count(events: Sequence[Event]) -> int:
    """Return how many verdicts were given."""
    return len(_verdicts(events))


def count_rows(store: Store, expected: Expected, events: Sequence[Event], streams: Sequence[str]) -> list[Row]:
    """Return what is to be compared of frames, batches, verdicts and dead letters."""
    entered, dead_chunks = Counter[str](), 0
    for event in events:
        if event.type is EventType.BATCH_COMPLETE:
            entered[event.report.stream] += event.report.frames
            dead_chunks += event.report.dead_chunks
    places, complete = Counter(_verdicts(events)), complete_batches(events)
    windows = Counter(stream for stream, _ in _verdicts(events))
    rows: list[Row] = []
    for stream in streams:
        state = store.streams.window(stream).state
        position = WindowState.from_bytes(state).position if state else 0
        rows += [
            (f"{stream}: frames fed = in windows", expected.frames.get(stream, 0), position),
            (f"{stream}: frames fed = in batch reports", expected.frames.get(stream, 0), entered[stream]),
            (f"{stream}: batches fed = complete", expected.batches.get(stream, 0), complete[stream]),
            (f"{stream}: verdicts due = given", expected.windows.get(stream, 0), windows[stream]),
        ]
    return [
        *rows,
        ("verdicts given twice", 0, sum(count - 1 for count in places.values())),
        ("chunks given up", 0, dead_chunks),
        ("poison fed = dead letters", expected.poison, sum(1 for _ in store.event_log.dead_letters())),
    ]


def _verdicts(events: Sequence[Event]) -> list[tuple[str, int]]:
    """Return stream and end of each window that was judged."""
    verdicts = (e.verdict for e in events if e.type in {EventType.VERDICT_PASS, EventType.VERDICT_FAIL})
    return [(verdict.stream, verdict.stop) for verdict in verdicts]
