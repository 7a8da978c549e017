"""Whether what was decided among the kills hangs together: incidents, champions, conditions, golden baselines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from common.baselines.binding import BaselineBinding
from common.contracts.events import Event, EventType
from common.contracts.incidents import ActionKind, Incident, IncidentLog, IncidentNote, NoteKind
from common.drift.incident_notes import apply_note
from common.drift.incidents import advance
from common.errors import SentinelError
from common.models.conditions import load_condition
from common.models.names import DEFAULT_MODEL
from common.settings import Settings
from common.store import Store

_COMPARED = (
    "state", "cause", "causes", "since", "failed_windows", "matched_windows", "passes", "windows", "golden_id", "ended",
)  # fmt: skip
"""Times are left out: they are the reducer's where footage has none."""

Row = tuple[str, object, object]
"""What is compared, what is expected, and what there is."""


def incidents_without_kills(events: Iterable[Event], stream: str, close_windows: int) -> dict[str, Incident]:
    """Return the incidents that the verdicts on a stream come to, one after the other, as nobody interrupts it.

    Where among them a person's acceptance was applied is told by the event about its incident.
    """
    log, found, accepted = IncidentLog(), dict[str, Incident](), set[str]()
    for event in (row for row in events if row.stream == stream):
        if event.type in {EventType.VERDICT_PASS, EventType.VERDICT_FAIL}:
            log, _ = advance(
                log, event.id, event.verdict, model=event.model, now=event.time, close_windows=close_windows,
                muted=False,
            )  # fmt: skip
        elif event.type in {EventType.INCIDENT_OPENED, EventType.INCIDENT_CHANGED, EventType.INCIDENT_CLOSED}:
            for action in event.incident.actions:
                note = f"{action.id} {event.incident.id}"
                if action.kind is ActionKind.ACCEPT and note not in accepted:
                    accepted.add(note)
                    log, _ = apply_note(
                        log,
                        IncidentNote(
                            id=note, stream=stream, kind=NoteKind.CLOSE, incident=event.incident.id, action=action
                        ),
                    )
        found |= {row.id: row for row in (*log.closed, *log.open)}
    return found


def incident_rows(store: Store, events: Sequence[Event], streams: Iterable[str], settings: Settings) -> list[Row]:
    """Return what is to be compared of the incidents of `streams`."""
    rows: list[Row] = []
    for stream in streams:
        expected = incidents_without_kills(events, stream, settings.close_windows)
        there = {row.id: row for row in store.streams.incidents(stream)}
        rows.append((f"{stream}: incidents of a run without kills = incidents", _told(expected), _told(there)))
        actions = [action for incident in there.values() for action in incident.actions]
        opened = Counter(action.id for action in actions if action.kind is ActionKind.RETRAIN)
        rows += [
            (f"{stream}: retrainings without an end", 0, len(unended(there.values()))),
            (f"{stream}: retrainings noted twice", 0, sum(opened.values()) - len(opened)),
            (f"{stream}: notes that were not applied", 0, len(store.streams.window(stream).notes)),
        ]
    return rows


def unended(incidents: Iterable[Incident]) -> list[str]:
    """Return the ids of retrainings that were begun and have not ended."""
    return [
        action.id
        for incident in incidents
        for action in incident.actions
        if action.kind is ActionKind.RETRAIN and action.ended_at is None
    ]


def _told(incidents: dict[str, Incident]) -> dict[str, dict[str, object]]:
    return {
        name: {**{field: getattr(row, field) for field in _COMPARED}, "times": len(row.occurrences)}
        for name, row in sorted(incidents.items())
    }


def champion_rows(store: Store, events: Sequence[Event]) -> list[Row]:
    """Return what is to be compared of the champions and of the conditions that they are proved on."""
    history = store.champions.history(DEFAULT_MODEL)
    versions = [record.version for record in history]
    announced = [event.champion.version for event in events if event.type is EventType.CHAMPION_PROMOTED]
    conditions = history[-1].conditions if history else ()
    damaged = []
    for condition in conditions:
        try:
            load_condition(condition)
        except SentinelError as error:
            damaged.append(str(error))
    return [
        ("champions in a row", list(range(1, len(history) + 1)), versions),
        ("champions = promotions announced", versions, announced),
        (
            "the champion is the last of its history",
            history[-1:],
            [store.champions.champion(DEFAULT_MODEL)][: len(history)],
        ),
        ("conditions whose footage is gone or another", [], damaged),
        ("conditions proved twice", 0, len(conditions) - len({row.id for row in conditions})),
    ]


def golden_rows(store: Store, settings: Settings, streams: Iterable[str]) -> list[Row]:
    """Return what is to be compared of the golden baselines that a person accepted and took back."""
    binding = BaselineBinding(settings, store)
    rows: list[Row] = []
    for stream in streams:
        history = store.golden.history(stream)
        replaced = [record.replaced_id for record in history]
        before = [binding.origin(stream)[0], *(record.baseline_id for record in history)]
        rows += [
            (f"{stream}: golden history in a row", list(range(1, len(history) + 1)), [row.number for row in history]),
            (f"{stream}: each golden baseline replaces the one before", before[:-1], replaced),
            (f"{stream}: golden now", before[-1], binding.find(stream).stored.id),
        ]
    return rows
