"""What a running stack said about a stream."""

from __future__ import annotations

import json
from collections.abc import Sequence

from common.contracts.events import Event, EventType
from common.contracts.verdicts import Verdict
from tests.sentinel.conftest import Running, wait_until

CONFIRMED_SECONDS = 10  # of a clip that holds two windows without a frame in common, at ten frames a second


def events(stack: Running, stream: str, *kinds: EventType) -> list[Event]:
    return [event for event in stack.store.event_log.events() if event.stream == stream and event.type in kinds]


def verdicts(stack: Running, stream: str) -> list[Verdict]:
    return [event.verdict for event in events(stack, stream, EventType.VERDICT_PASS, EventType.VERDICT_FAIL)]


def wait_for_batches(stack: Running, stream: str, count: int = 1) -> None:
    wait_until(f"{count} batches of {stream}", lambda: len(events(stack, stream, EventType.BATCH_COMPLETE)) >= count)


def figures(rows: Sequence[Verdict]) -> list[tuple[int, int, str, float]]:
    return [(row.start, row.stop, row.status, row.drift_score) for row in rows]


def badge_of(stream: str) -> str:
    """Return a script: the badge on the tile of a stream, with what stands below it."""
    return (
        f"([...document.querySelectorAll('.tile')].filter(t => t.stream === {json.dumps(stream)})"
        ".map(t => t.querySelector('.badge').textContent + ' ' + t.querySelector('.what').textContent)[0] ?? '')"
    )
