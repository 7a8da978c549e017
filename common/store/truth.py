"""Truth in Redis: the rows of a stream that wait, and what they have come to.

What arrives for one version of a model and one measure is a track. All that is kept of a stream is bounded: the tracks
(the latest `MOST_TRACKS`), the rows of each that wait, and the ids by which a row counts once (the latest `MOST_IDS`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import redis

from common.contracts.events import TruthJudged
from common.contracts.ids import content_id
from common.contracts.incidents import IncidentNote, NoteKind
from common.contracts.truth import Measure, TruthProgress, TruthRow, TruthVerdict
from common.errors import BadMessage
from common.store import keys
from common.store.client import binary, load_script, text

MOST_TRACKS = 4
MOST_IDS = 10_000


class Taken(IntEnum):
    """What became of a row."""

    UNKNOWN_STREAM = -1
    DUPLICATE = 0
    KEPT = 1


class TruthCommitted(IntEnum):
    """Result of `TruthStore.commit`."""

    CONFLICT = 0
    """Another process has committed since, or the stream was forgotten: nothing was changed."""
    DONE = 1
    MORE = 2
    """Committed, and rows came meanwhile."""


@dataclass(frozen=True)
class TrackRead:
    """A track as it was read.

    Attributes
    ----------
    state : as its judge stored it; None: nothing was judged yet
    progress : None if a newer version wrote it
    """

    id: str
    state: bytes | None
    progress: TruthProgress | None


@dataclass(frozen=True)
class TruthRead:
    """The truth of a stream as it was read. A commit succeeds only if `version` is still current."""

    version: str
    taken: str
    tracks: tuple[TrackRead, ...]


@dataclass(frozen=True)
class TrackMoved:
    """What becomes of a track; `used` are the ids of rows that do not wait any more."""

    id: str
    state: str
    progress: TruthProgress
    verdicts: tuple[TruthVerdict, ...]
    used: tuple[str, ...]


@dataclass(frozen=True)
class ReceivedRow:
    """A row that waits; None if it cannot be read, which a newer version may have written."""

    id: str
    row: TruthRow | None
    error: BadMessage | None = None
    stored: bytes = b""


class TruthStore:
    """The truth of each stream. `max_events` bounds the Stream of events."""

    def __init__(self, client: redis.Redis, *, max_events: int) -> None:
        self.client = client
        self._max_events = max_events
        self._take = load_script(client, "take_truth")
        self._commit = load_script(client, "commit_truth")

    def take(self, stream: str, model: str, measure: Measure, row: TruthRow) -> Taken:
        """Keep a row, once however often it comes."""
        track = content_id(model, measure)
        parts = ("truth", "truth-tracks", "truth-ids")
        own = [keys.stream_key(stream, part) for part in parts]
        begun = TruthProgress(model=model, measure=measure)
        return Taken(
            self._take(
                keys=[keys.STREAMS, *own, _rows_key(stream, track), keys.TRUTH_DUE],
                args=[
                    stream,
                    track,
                    row.id,
                    row.to_json(),
                    begun.to_json(),
                    _rows_key(stream, ""),
                    MOST_IDS,
                    MOST_TRACKS,
                ],
            )
        )

    def due(self) -> list[str]:
        """Return the streams whose rows have to be looked at."""
        return sorted(text(name) for name in self.client.smembers(keys.TRUTH_DUE))

    def read(self, stream: str) -> TruthRead:
        """Return the tracks of a stream, the one that got a row last first."""
        pipe = self.client.pipeline(transaction=True)
        pipe.hgetall(keys.stream_key(stream, "truth"))
        pipe.zrevrange(keys.stream_key(stream, "truth-tracks"), 0, -1)
        stored, tracks = pipe.execute()
        fields = {text(name): value for name, value in stored.items()}
        found = [
            TrackRead(track, binary(fields.get(f"state:{track}")), _progress(fields.get(f"progress:{track}")))
            for track in map(text, tracks)
        ]
        return TruthRead(text(fields.get("version", "0")), text(fields.get("taken", "0")), tuple(found))

    def waiting(self, stream: str, track: str) -> int:
        """Return how many rows of a track wait."""
        return int(self.client.hlen(_rows_key(stream, track)))

    def rows(self, stream: str, track: str) -> list[ReceivedRow]:
        """Return the rows of a track that wait."""
        found = []
        for row_id, stored in self.client.hgetall(_rows_key(stream, track)).items():
            data = binary(stored) or b""
            try:
                found.append(ReceivedRow(text(row_id), TruthRow.from_json(data)))
            except BadMessage as error:
                found.append(ReceivedRow(text(row_id), None, error, data))
        return found

    def known(self, names: Sequence[str]) -> set[str]:
        """Return those of some streams of which something true was ever said, in one round trip."""
        pipe = self.client.pipeline(transaction=False)
        for stream in names:
            pipe.exists(keys.stream_key(stream, "truth-tracks"))
        return {stream for stream, there in zip(names, pipe.execute(), strict=True) if there}

    def progress(self, stream: str) -> tuple[TruthProgress, ...]:
        """Return how far the truth of a stream is, the track that got a row last first."""
        return tuple(
            track.progress.model_copy(update={"waiting_rows": self.waiting(stream, track.id)})
            for track in self.read(stream).tracks
            if track.progress is not None
        )

    def commit(self, stream: str, read: TruthRead, moved: Sequence[TrackMoved]) -> TruthCommitted:
        """Store what became of tracks with their verdicts, unless another process has committed since `read`."""
        now = time.time()
        plan = {
            "stream": stream,
            "version": read.version,
            "taken": read.taken,
            "now": repr(now),
            "max_events": self._max_events,
            "rows": _rows_key(stream, ""),
            "tracks": [
                {"id": row.id, "state": row.state, "progress": row.progress.to_json(), "used": row.used}
                for row in moved
            ],
            "verdicts": [_verdict_row(verdict) for row in moved for verdict in row.verdicts],
        }
        own = [keys.stream_key(stream, part) for part in ("truth", "truth-tracks", "inbox")]
        done = self._commit(keys=[keys.EVENTS, *own, keys.STREAMS, keys.TRUTH_DUE], args=[json.dumps(plan)])
        return TruthCommitted(done)


def _verdict_row(verdict: TruthVerdict) -> dict[str, object]:
    """Return the row of a verdict: what is announced, and the note from which incidents move."""
    model = verdict.score.healed_as or verdict.score.model
    event = TruthJudged.about(verdict, model=model, stream=verdict.stream, key=verdict.id)
    note = IncidentNote(
        id=content_id("truth note", verdict.id),
        stream=verdict.stream,
        kind=NoteKind.TRUTH,
        incident=None,
        truth=verdict,
    )
    header = {"id": event.id, "type": event.type.value, "stream": event.stream, "model": event.model}
    return {"event": header, "json": verdict.to_json(), "note": note.to_json()}


def _progress(stored: bytes | None) -> TruthProgress | None:
    try:
        return TruthProgress.from_json(stored) if stored else None
    except BadMessage:
        return None


def _rows_key(stream: str, track: str) -> str:
    return keys.stream_key(stream, "truth-rows", track)
