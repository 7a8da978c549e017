"""From rows of truth to verdicts: what the process `truth` does for one stream, and commits in one step."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from common.contracts.incidents import IncidentLog, IncidentState
from common.contracts.truth import TruthRow
from common.contracts.verdicts import Status
from common.drift.truth import Moved, TruthRule, TruthTrack, advance
from common.errors import BadMessage, BadModel
from common.models.kinds import load_kind
from common.settings import Settings
from common.store import Store
from common.store.truth import TrackMoved, TrackRead, TruthCommitted
from common.store.unreadable import unreadable_truth
from common.stream_config import settings_of_stream, stream_config

log = logging.getLogger(__name__)


def truth_rule(settings: Settings, stream: str) -> TruthRule:
    """Return how the truth of a stream is judged."""
    return rule_of(settings_of_stream(settings, stream))


def rule_of(settings: Settings) -> TruthRule:
    """Return how truth is judged by these settings."""
    return TruthRule(
        window=settings.truth_window,
        reference=settings.truth_reference,
        least_loss=settings.truth_least_loss,
        threshold=settings.drift_threshold,
        p_value=settings.p_value,
        false_alarms_per_day=settings.false_alarms_per_day,
    )


def healed_as(settings: Settings, stream: str) -> str:
    """Return the kind of model that Sentinel retrains for a stream; empty where it can retrain none.

    It must stand in the stream's table: that `vfi` serves every other stream makes no user's model one of its kind.
    """
    name = stream_config(settings).of(stream).model
    if name is None:
        return ""
    try:
        load_kind(name)
    except BadModel as error:
        log.warning("stream %s: nothing can be retrained for it: %s", stream, error)
        return ""
    return name


def move_truth(store: Store, settings: Settings, stream: str) -> tuple[TruthCommitted, int]:
    """Judge the windows of truth of a stream that are full; return what the commit came to, and how many those were.

    Raises
    ------
    SettingsError
        If the configuration file cannot be read.
    """
    rule = truth_rule(settings, stream)
    read = store.truth.read(stream)
    moved: list[TrackMoved] = []
    for track in read.tracks:
        wanted = rule.window if track.progress is not None and track.progress.reference_rows else rule.reference
        if store.truth.waiting(stream, track.id) >= wanted:
            moved += _moved(store, settings, stream, track, rule)
    committed = store.truth.commit(stream, read, moved)
    verdicts = [verdict for row in moved for verdict in row.verdicts]
    if committed is TruthCommitted.CONFLICT:
        return committed, 0
    for verdict in verdicts:
        sure = ", confirmed" if verdict.confirmed else ""
        log.info("stream %s: truth %s%s, %s", stream, verdict.status, sure, verdict.score.sentence)
    return committed, len(verdicts)


def _moved(store: Store, settings: Settings, stream: str, read: TrackRead, rule: TruthRule) -> list[TrackMoved]:
    """Return what becomes of a track whose rows may be enough; nothing, if it was given up meanwhile."""
    rows: list[TruthRow] = []
    damaged: list[str] = []
    for received in store.truth.rows(stream, read.id):
        if received.row is not None:
            rows.append(received.row)
            continue
        damaged.append(received.id)
        error = received.error or BadMessage("it is no row")
        store.event_log.bury(unreadable_truth(stream, f"truth {received.id}", error, received.stored, time.time()))
    track = _track(store, stream, read)
    if track is None:
        return []
    found: Moved = advance(
        track,
        rows,
        rule,
        stream=stream,
        healed_as=healed_as(settings, stream),
        failed_at=failed_at(store, stream),
    )
    used = (*found.used, *damaged)
    return [TrackMoved(read.id, found.track.to_json(), found.track.progress(), found.verdicts, used)]


def _track(store: Store, stream: str, read: TrackRead) -> TruthTrack | None:
    """Return the state of a track; one that cannot be read begins anew, which a dead letter says."""
    if read.progress is None:
        return None  # a newer version wrote it, and does the rest
    begun = TruthTrack(model=read.progress.model, measure=read.progress.measure)
    try:
        return TruthTrack.from_json(read.state) if read.state else begun
    except BadMessage as error:
        reason = BadMessage(f"the truth of stream {stream!r} has a new reference, of the rows that come now: {error}")
        letter = unreadable_truth(stream, f"truth of {stream}", reason, read.state or b"", time.time())
        store.event_log.bury(letter)
        return begun


def failed_at(store: Store, stream: str) -> Callable[[float], bool]:
    """Return what says whether the footage of a stream failed at a time, in seconds since the epoch, as far as known.

    Every incident about footage counts, healed ones too, and every window that fails and is not confirmed yet.
    """
    incidents = [row for row in store.streams.incidents(stream) if row.is_of_footage]
    closed = [row for row in incidents if row.state is IncidentState.CLOSED]
    still_open = [row for row in incidents if row.state is not IncidentState.CLOSED]
    window = store.streams.window(stream)
    spans = [(row.since_time, row.latest_at) for row in closed]
    spans += [(row.since_time, float("inf")) for row in still_open]
    try:
        run = IncidentLog.from_json(window.incidents).run if window.incidents else ()
    except BadMessage:  # the reducer reports it
        run = ()
    spans += [(row.taken_from, row.taken_to) for row in run]
    verdict = window.verdict
    if verdict is not None and verdict.status is Status.FAIL and verdict.taken_from is not None:
        spans.append((verdict.taken_from, float("inf")))
    return lambda at: any(begins <= at <= ends for begins, ends in spans)
