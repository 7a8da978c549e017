"""What the command line, the page and the metrics show: one answer for all of them, and no way of showing it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from fnmatch import fnmatchcase

from pydantic import Field

from common.contracts.dead_letters import DeadLetter, DeadLetterKind
from common.contracts.events import Event, EventType, RetrainProgressed, RetrainStarted
from common.contracts.ids import Message
from common.contracts.models import Hold, RetrainReport
from common.contracts.processes import ProcessHealth
from common.contracts.verdicts import Remedy, Status, Verdict
from common.process_health import process_health
from common.store import Store
from common.store.client import without_password

QUEUES = ("embed", "reduce", "retrain")
"""Celery's queues, which are Redis lists of the same names."""

_MOST_EVENTS_READ = 2_000  # a running retraining announces itself every few seconds
_FIRST = {Status.FAIL: 0, None: 1, Status.PASS: 2}
_PATH = re.compile(r"\S*/\S+")
_NUMBER = re.compile(r"\d+")


class StreamStatus(Message):
    """Where one stream stands."""

    stream: str
    status: Status | None = Field(description="of the latest verdict; None before the first window is full")
    drift_score: float | None
    p_value: float | None
    cause: str | None
    remedy: Remedy | None
    confirmed: bool
    frames: int = Field(description="position after the latest judged window")
    pending_chunks: int
    seconds_since_last_frame: float | None


class ModelStatus(Message):
    """Where one model stands: its champion, and the retraining that runs or is to come."""

    model: str
    version: int = Field(description="of the champion")
    waiting_fails: int = Field(description="FAILs that wait for the next retraining")
    due_at: float | None = Field(
        description="end of the cool-down: when the next retraining may start, seconds since the epoch; None: no FAIL "
        "waits"
    )
    held: Hold | None = Field(
        description="a person's choice of version, which no retraining changes before its release"
    )
    retraining: RetrainReport | None = Field(description="the last report of the retraining that runs; None: none runs")


class SystemStatus(Message):
    """Where everything stands."""

    redis_url: str = Field(description="without its password")
    queues: dict[str, int] = Field(description="tasks that wait, by queue")
    dead_letters: int
    models: tuple[ModelStatus, ...]
    processes: tuple[ProcessHealth, ...]
    streams: tuple[StreamStatus, ...] = Field(description="those that fail first")


class DeadLetterGroup(Message):
    """Dead letters of one kind whose reasons differ only in names and numbers."""

    kind: DeadLetterKind
    reason: str = Field(description="of the latest, with what it is about left out")
    count: int
    streams: tuple[str, ...]
    first: float = Field(description="time of the oldest, seconds since the epoch")
    last: float = Field(description="time of the latest, seconds since the epoch")
    example: str = Field(description="id of the latest")


def matches(stream: str, pattern: str) -> bool:
    """Return whether `pattern` is the name of `stream`, or a pattern (`site/*`) that it fits; an empty one fits all."""
    return not pattern or stream == pattern or fnmatchcase(stream, pattern)


def system_status(store: Store, redis_url: str, *, stream: str = "", status: Status | None = None) -> SystemStatus:
    """Return where everything stands; `stream` and `status` choose among the streams.

    Parameters
    ----------
    redis_url : of `store`; its password is left out
    stream : name or pattern, see `matches`
    status : of the latest verdict; None: any
    """
    return SystemStatus(
        redis_url=without_password(redis_url),
        queues={queue: int(store.client.llen(queue)) for queue in QUEUES},
        dead_letters=store.event_log.dead_letter_count(),
        models=tuple(model_status(store, model) for model in store.champions.models()),
        processes=process_health(store),
        streams=tuple(stream_statuses(store, stream=stream, status=status)),
    )


def stream_statuses(store: Store, *, stream: str = "", status: Status | None = None) -> list[StreamStatus]:
    """Return the streams in the order in which they want attention: FAIL, no verdict yet, PASS; in each the most
    recently fed first."""
    now = time.time()
    found = [stream_status(store, name, now) for name in store.streams.names() if matches(name, stream)]
    chosen = [row for row in found if status is None or row.status is status]
    return sorted(chosen, key=lambda row: (_FIRST[row.status], _age(row), row.stream))


def _age(row: StreamStatus) -> float:
    return float("inf") if row.seconds_since_last_frame is None else row.seconds_since_last_frame


def stream_status(store: Store, stream: str, now: float) -> StreamStatus:
    """Return where `stream` stands at `now`, seconds since the epoch."""
    window = store.streams.window(stream)
    verdict: Verdict | None = window.verdict
    return StreamStatus(
        stream=stream,
        status=verdict.status if verdict else None,
        drift_score=verdict.drift_score if verdict else None,
        p_value=verdict.p_value if verdict else None,
        cause=verdict.cause if verdict else None,
        remedy=verdict.remedy if verdict else None,
        confirmed=verdict.confirmed if verdict else False,
        frames=verdict.stop if verdict else 0,
        pending_chunks=store.streams.pending(stream),
        seconds_since_last_frame=now - window.last_frame_at if window.last_frame_at else None,
    )


def model_status(store: Store, model: str) -> ModelStatus:
    """Return where `model` stands."""
    champion = store.champions.champion(model)
    return ModelStatus(
        model=model,
        version=champion.version if champion else 0,
        waiting_fails=store.champions.waiting_count(model),
        due_at=store.champions.due_at(model),
        held=store.champions.held(model),
        retraining=_running(store, model) if store.champions.is_leased(model) else None,
    )


def _running(store: Store, model: str) -> RetrainReport:
    """Return the last report of the retraining of `model` that runs now."""
    for event in store.event_log.events(newest_first=True, limit=_MOST_EVENTS_READ):
        if event.model == model and isinstance(event, RetrainStarted | RetrainProgressed):
            return event.report
    return RetrainReport(model=model, stage="starting", progress=0.0, detail="", merged_fails=0)


def latest_events(store: Store, limit: int, *, stream: str = "", types: Iterable[EventType] = ()) -> list[Event]:
    """Return up to `limit` of the latest events, oldest first.

    Parameters
    ----------
    stream : name or pattern, see `matches`
    types : those that are wanted; none: all
    """
    wanted = frozenset(types)
    found: list[Event] = []
    for event in store.event_log.events(newest_first=True):
        if len(found) == limit:
            break
        if matches(event.stream, stream) and (not wanted or event.type in wanted):
            found.append(event)
    return found[::-1]


def dead_letters(store: Store, *, stream: str = "") -> list[DeadLetter]:
    """Return the dead letters of the streams that fit `stream`, oldest first."""
    return [letter for letter in store.event_log.dead_letters() if matches(letter.stream, stream)]


def dead_letter_groups(letters: Iterable[DeadLetter]) -> list[DeadLetterGroup]:
    """Sum `letters` up by kind and reason, the most frequent first."""
    grouped: dict[tuple[DeadLetterKind, str], list[DeadLetter]] = {}
    for letter in letters:
        grouped.setdefault((letter.kind, _NUMBER.sub("0", _without_names(letter))), []).append(letter)
    groups = [
        DeadLetterGroup(
            kind=kind,
            reason=_without_names(rows[-1]),
            count=len(rows),
            streams=tuple(sorted({letter.stream for letter in rows})),
            first=min(letter.time for letter in rows),
            last=max(letter.time for letter in rows),
            example=rows[-1].id,
        )
        for (kind, _), rows in grouped.items()
    ]
    return sorted(groups, key=lambda group: (-group.count, group.kind, group.reason))


def _without_names(letter: DeadLetter) -> str:
    """Return the reason of `letter` without the file or event that it is about."""
    reason = letter.reason.replace(letter.subject, "…") if letter.subject else letter.reason
    return _PATH.sub("…", reason)
