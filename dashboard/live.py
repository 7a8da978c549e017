"""Server-sent events: what happens, as it happens, in few words.

The id of a server-sent event is the id of the entry of `sentinel:events`. A browser that
comes back sends the last one that it saw, and goes on after it: nothing is lost and
nothing comes twice. Each browser reads by itself; there is no consumer group.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import AsyncIterator
from typing import Any

import redis
from pydantic import Field

from common.contracts.events import (
    BatchCompleted,
    ChallengerRejected,
    ChampionPromoted,
    Event,
    IncidentChanged,
    IncidentClosed,
    IncidentOpened,
    RetrainProgressed,
    RetrainStarted,
    WindowFailed,
    WindowPassed,
)
from common.contracts.ids import Message
from common.errors import BadMessage
from common.store.event_log import read_event
from common.store.event_tail import EventTail

log = logging.getLogger(__name__)

MOST_READERS = 64
"""Browsers that listen at a time."""
_ENTRY_ID = re.compile(r"\d{1,15}-\d{1,10}")
_COUNT = 200  # events per read
_BLOCK_MS = 1_000
_BEAT_SECONDS = 3.0  # a page that hears nothing for three of them says so
_PAUSE_SECONDS = 0.5  # between attempts while Redis is away


class LiveEvent(Message):
    """An event, as it goes to browsers."""

    id: str = Field(description="id of the entry of `sentinel:events`")
    type: str
    time: float = Field(description="when it was announced, seconds since the epoch")
    stream: str
    model: str
    about: dict[str, Any] = Field(description="what is shown of it; all of it is what the rest of the API tells")


class Readers:
    """Counts those who listen, so that there are not too many."""

    def __init__(self) -> None:
        self.count = 0

    @property
    def has_room(self) -> bool:
        return self.count < MOST_READERS


def entry_id(given: str) -> str:
    """Return an id of an entry that a client sent; an empty one if it is none."""
    return given if _ENTRY_ID.fullmatch(given) else ""


async def follow(url: str, after: str, readers: Readers) -> AsyncIterator[str]:
    """Yield server-sent events: those after the entry `after`, and a beat every few seconds.

    Where entries after `after` are no longer kept, it yields `reset` first: what the client knows has a gap, and it
    has to ask for everything anew.

    Parameters
    ----------
    after : id of an entry; empty: only what comes from now on
    """
    readers.count += 1
    tail = EventTail(url)
    at, ready, beaten = after, False, -_BEAT_SECONDS
    try:
        while True:
            try:
                if not ready:
                    at = at or await tail.last()
                    if await tail.is_gone(at):
                        at = await tail.last()
                        yield _lines(
                            "reset", {"reason": "events after the last one that you saw are no longer kept"}, at
                        )
                    ready = True
                if time.monotonic() - beaten > _BEAT_SECONDS:
                    beaten = time.monotonic()
                    yield _lines("beat", {"time": time.time(), "at": at})
                rows = await tail.read(at, count=_COUNT, block_ms=_BLOCK_MS)
                ready = len(rows) < _COUNT  # who lags may be overtaken by what is dropped
            except (redis.RedisError, OSError) as error:
                log.warning("a browser waits: %s", error)
                ready = False
                yield _lines("trouble", {"time": time.time(), "reason": "Redis does not answer"})
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            for at, fields in rows:
                try:
                    event = read_event(at, fields)
                except BadMessage as error:
                    log.warning("skipped: %s", error)
                    continue
                yield _lines("event", live_event(event).model_dump(mode="json"), at)
    finally:
        readers.count -= 1
        await tail.close()


def _lines(name: str, data: dict[str, Any], at: str = "") -> str:
    """Return one server-sent event. JSON has no line breaks, so whatever is in it stays one line."""
    return f"event: {name}\n{f'id: {at}' + chr(10) if at else ''}data: {json.dumps(data)}\n\n"


def live_event(event: Event) -> LiveEvent:
    """Return what goes to browsers of an event."""
    return LiveEvent(
        id=event.entry_id,
        type=event.type.value,
        time=event.time,
        stream=event.stream,
        model=event.model,
        about=_about(event),
    )


def _about(event: Event) -> dict[str, Any]:
    match event:
        case WindowPassed() | WindowFailed():
            fields = {"status", "drift_score", "p_value", "cause", "confirmed", "provisional", "taken_to", "stop"}
            healed = event.verdict.condition is not None
            return {**event.verdict.model_dump(mode="json", include=fields), "healed": healed}
        case IncidentOpened() | IncidentChanged() | IncidentClosed():
            fields = {"id", "state", "cause", "acknowledged_by", "muted", "ended"}
            return event.incident.model_dump(mode="json", include=fields)
        case RetrainStarted() | RetrainProgressed() | ChallengerRejected():
            return event.report.model_dump(mode="json", exclude={"format"})
        case ChampionPromoted(champion=record):
            return record.model_dump(mode="json", include={"version", "reason", "gain_db", "loss_db"})
        case BatchCompleted(report=report):
            return report.model_dump(mode="json", include={"uri", "frames", "dead_chunks"})
        case _:
            return {}
