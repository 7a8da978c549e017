"""Rows of the plan that `scripts/commit_window.lua` carries out."""

from __future__ import annotations

from collections.abc import Iterable

from common.contracts.batches import Chunk
from common.contracts.events import BatchCompleted, Event, ResolutionChanged, WindowFailed, WindowPassed
from common.contracts.incidents import IncidentState
from common.features import FeatureBlock
from common.store.incidents import IncidentCommit, IncidentEvent


def chunk_row(chunk: Chunk, features: FeatureBlock | None, event: BatchCompleted) -> dict[str, object]:
    """Return the row of a chunk that enters the window; `event` is announced should its batch end with it."""
    return {
        "id": chunk.id,
        "batch": chunk.batch_id,
        "frames": len(features or ()),
        "dead": int(features is None),
        "event": {**_header(event), "uri": chunk.source.uri},
    }


def verdict_row(
    event: WindowPassed | WindowFailed,
    incidents: Iterable[IncidentEvent],
    resolution: ResolutionChanged | None,
    *,
    departs: bool,
) -> dict[str, object]:
    """Return the row of a verdict; the features of a window that `departs` are kept as evidence."""
    return {
        "event": _header(event),
        "verdict": event.verdict.to_json(),
        "departs": departs,
        "taken_to": event.verdict.taken_to,
        "incidents": [incident_row(changed) for changed in incidents],
        "notices": [] if resolution is None else [{"event": _header(resolution), "json": resolution.notice.to_json()}],
    }


def incident_part(commit: IncidentCommit) -> dict[str, object]:
    """Return the part of the plan about the stream's incidents, without those that verdicts change."""
    still_open = commit.log.open if commit.log is not None else ()
    return {
        "muted": any(incident.muted for incident in still_open),
        "offline": any(incident.state is IncidentState.OFFLINE for incident in still_open),
        "silent_since": commit.silent_since,
        "applied": len(commit.applied),
        "incidents": [incident_row(event) for event in commit.events],
    }


def incident_row(event: IncidentEvent) -> dict[str, object]:
    """Return the row of an incident that has changed."""
    return {
        "event": _header(event),
        "id": event.incident.id,
        "closed": event.incident.state is IncidentState.CLOSED,
        "closed_at": event.incident.closed_at or 0.0,
        "json": event.incident.to_json(),
    }


def _header(event: Event) -> dict[str, str]:
    return {"id": event.id, "type": event.type.value, "stream": event.stream, "model": event.model}
