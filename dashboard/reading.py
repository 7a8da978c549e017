"""What the API tells: made of the queries that the command line shares, the history, and the pictures."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from common.baselines.learned_in_words import coverage_rows
from common.baselines.report import StreamBinding, bindings_of
from common.contracts.decisions import DecisionRecord
from common.contracts.incidents import Incident, IncidentState
from common.contracts.pictures import IncidentPictures, PictureNote, StreamPictures
from common.contracts.policy import Policy
from common.errors import BadBaseline, BadMessage, BadModel, SettingsError, UnknownStream
from common.golden_story import history_text
from common.incident_story import Moment, time_line, times_text
from common.models.decisions import PICTURE_FILE, load_decision
from common.models.folders import decision_folders
from common.models.registry import version_before
from common.process_health import process_health
from common.processes import QUEUES
from common.queries import (
    DeadLetterGroup,
    StreamStatus,
    dead_letter_groups,
    model_status,
    retraining_of,
    stream_status,
    stream_statuses,
)
from common.responses import advice_about, resolution_text
from common.settings import Settings
from common.store import Store
from common.store.client import without_password
from common.stream_config import settings_of_stream
from common.version import VERSION
from dashboard.history import History, Point
from dashboard.views import DecisionView, Fleet, IncidentView, ModelView, StackView, StreamView, Tile

_MOST_BATCH_STREAMS = 50  # whose batches the stack's page looks for
_BATCHES_PER_STREAM = 5
MOST_LETTERS = 1_000
"""Dead letters that are looked at, the latest: there may be a hundred thousand."""
_FRESH_SECONDS = 0.5  # browsers that ask within it get the same answer


class Reading:
    """Answers questions about a running system. Its methods may be called from any thread."""

    def __init__(self, store: Store, settings: Settings, history: History) -> None:
        self._store = store
        self._settings = settings
        self._history = history
        self._fleet: tuple[float, Fleet] | None = None
        self._fleet_lock = threading.Lock()

    # --- fleet and streams

    def fleet(self) -> Fleet:
        """Return all streams; browsers that ask at about the same time get the same answer."""
        with self._fleet_lock:
            if self._fleet is None or time.monotonic() - self._fleet[0] > _FRESH_SECONDS:
                self._fleet = (time.monotonic(), self._new_fleet())
            return self._fleet[1]

    def _new_fleet(self) -> Fleet:
        rows, now = stream_statuses(self._store), time.time()
        pictures = self._store.pictures.latest([row.stream for row in rows])
        return Fleet(
            now=now,
            tiles=tuple(self._tile(row, now, pictures.get(row.stream)) for row in rows),
            waiting=tuple(self._store.golden.waiting().values()),
        )

    def tile(self, stream: str) -> Tile:
        """Return one stream as the fleet shows it."""
        self._require(stream)
        now = time.time()
        return self._tile(
            stream_status(self._store, stream, now), now, self._store.pictures.latest([stream]).get(stream)
        )  # fmt: skip

    def _tile(self, row: StreamStatus, now: float, picture: str | None) -> Tile:
        return Tile(
            stream=row.stream,
            status=row.status,
            cause=row.cause,
            response=row.response,
            drift_score=row.drift_score,
            provisional=row.provisional,
            confirmed=row.confirmed,
            pending_chunks=row.pending_chunks,
            seconds_since_last_frame=row.seconds_since_last_frame,
            incidents=row.incidents,
            asks=row.learning.asks if row.learning else "",
            day=self._history.day(row.stream, now),
            picture=picture,
        )

    def stream(self, stream: str) -> StreamView:
        """Return one stream whole."""
        self._require(stream)
        now = time.time()
        status, verdict = stream_status(self._store, stream, now), self._store.streams.window(stream).verdict
        binding, unbound = self._binding(stream)
        learning = status.learning
        own = settings_of_stream(self._settings, stream)
        return StreamView(
            now=now,
            status=status,
            binding=binding,
            unbound=unbound,
            verdict=verdict,
            advice=advice_about(verdict.cause, self._policy) if verdict and verdict.cause else "",
            resolution=resolution_text(status.resolution, stream, learns=learning is not None)
            if status.resolution
            else "",
            coverage=tuple(coverage_rows(learning.coverage)) if learning and learning.coverage else (),
            history=tuple(history_text(row) for row in binding.history) if binding else (),
            incidents=tuple(self._store.streams.incidents(stream)),
            pictures=self._store.pictures.of_stream(stream),
            threshold=own.drift_threshold,
            p_value=own.p_value,
            points=self._history.points(stream),
            dead_letters=self._letters(stream),
        )

    def points(self, stream: str) -> tuple[Point, ...]:
        """Return the latest verdicts of a stream, oldest first."""
        self._require(stream)
        return self._history.points(stream)

    def _binding(self, stream: str) -> tuple[StreamBinding | None, str]:
        try:
            (binding,) = bindings_of(self._store, self._settings, [stream])
            return binding, ""
        except (SettingsError, BadBaseline, BadMessage) as error:
            return None, str(error)

    def _require(self, stream: str) -> None:
        if not self._store.streams.is_known(stream):
            raise UnknownStream(f"there is no stream {stream!r}")

    @property
    def _policy(self) -> Policy:
        return Policy.parse(self._settings.policy)

    # --- incidents

    def incident(self, incident: Incident) -> IncidentView:
        """Return an incident as a story."""
        pictures = self._store.pictures.of_stream(incident.stream)
        mine = {action.id for action in incident.actions}
        decisions = [
            row for row in self.decisions(incident.model) if incident.id in row.incidents or mine & set(row.actions)
        ]
        moments = [*time_line(incident), *(Moment(at=row.made_at, what=_decided(row)) for row in decisions)]
        return IncidentView(
            now=time.time(),
            incident=incident,
            moments=tuple(sorted(moments, key=lambda row: row.at)),
            retraining=retraining_of(self._store, incident),
            decisions=tuple(decisions),
            pictures=pictures.incidents.get(incident.id, IncidentPictures()),
            reference=_reference(pictures, incident),
            present=pictures.latest,
            times=times_text(incident) if incident.times_this_week > 1 else "",
            advice=""
            if incident.state is IncidentState.CLOSED
            else advice_about(incident.cause, self._policy, of_user=incident.is_of_user),
            copes=incident.model_score.sentence if incident.model_score else "",
        )

    # --- models

    def models(self) -> list[ModelView]:
        """Return every model."""
        return [self._model(model) for model in self._store.champions.models()]

    def _model(self, model: str) -> ModelView:
        try:
            history = self._store.champions.history(model)
        except BadMessage:  # a newer version wrote it, which the status says
            history = []
        return ModelView(
            status=model_status(self._store, model),
            previous=version_before(history) if history else None,
            history=tuple(history),
            decisions=tuple(self.decisions(model)),
        )

    def decisions(self, model: str) -> list[DecisionView]:
        """Return the decisions about `model` that are kept and can be read, oldest first."""
        found = []
        for folder in decision_folders(self._settings.state_dir, model):
            try:
                found.append(_decision(load_decision(folder)))
            except BadModel:
                continue
        return found

    def decision_picture(self, model: str, number: int) -> Path | None:
        """Return the file with the picture of a decision; None if there is none."""
        if model not in self._store.champions.models():
            return None
        for folder in reversed(decision_folders(self._settings.state_dir, model)):
            if folder.name.partition("-")[0] == f"d{number}":
                file = folder / PICTURE_FILE
                return file if file.is_file() else None
        return None

    # --- dead letters

    def _letters(self, stream: str = "") -> tuple[DeadLetterGroup, ...]:
        """Return the latest dead letters, of one stream or of all, summed up."""
        latest = list(self._store.event_log.latest_dead_letters(MOST_LETTERS))[::-1]
        return tuple(dead_letter_groups(letter for letter in latest if stream in {"", letter.stream}))

    # --- the stack

    def stack(self) -> StackView:
        """Return the state of processes, queues, batches and dead letters."""
        store = self._store
        busy = [name for name in store.streams.names() if store.streams.pending(name)][:_MOST_BATCH_STREAMS]
        return StackView(
            now=time.time(),
            version=VERSION,
            redis_url=without_password(self._settings.redis_url or ""),
            processes=process_health(store),
            queues={queue: int(store.client.llen(queue)) for queue in QUEUES},
            batches=tuple(row for name in busy for row in store.batches.unfinished(name, _BATCHES_PER_STREAM)),
            dead_letters=store.event_log.dead_letter_count(),
            dead_letter_groups=self._letters(),
            flower_host=self._settings.flower_host,
            flower_port=self._settings.flower_port,
        )


def _decision(record: DecisionRecord) -> DecisionView:
    return DecisionView(
        number=record.number,
        outcome=record.outcome,
        reason=record.reason,
        made_at=record.made_at,
        champion=record.champion,
        gain_db=record.gain_db,
        loss_db=record.loss_db,
        cause=record.cause,
        incidents=record.incidents,
        actions=record.actions,
        picture=record.picture,
    )


def _decided(row: DecisionView) -> str:
    return f"the gate: {row.outcome}, {row.gain_db:+.2f} dB on this footage, {row.reason}"


def _reference(pictures: StreamPictures, incident: Incident) -> PictureNote | None:
    """Return what the stream looks like when nothing is wrong: of the same segment if there is one."""
    segments = [row.segment for row in reversed(incident.windows)]
    known = [row for row in pictures.references if row.golden_id == incident.golden_id or not incident.golden_id]
    known = known or list(pictures.references)
    for segment in segments:
        for row in known:
            if row.segment == segment:
                return row.note
    return known[-1].note if known else None
