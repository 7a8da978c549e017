"""What of an incident is still to be healed: retrainings may have been killed before they could say how they ended."""

from __future__ import annotations

import time
from collections.abc import Sequence

from common.baselines.storage import StoredBaseline
from common.contracts.conditions import ConditionRecord
from common.contracts.decisions import DecisionRecord
from common.contracts.incidents import Action, ActionKind, Incident, IncidentLog, IncidentState, IncidentWindow
from common.contracts.models import ChampionRecord
from common.contracts.verdicts import Cause
from common.drift.conditions import Condition
from common.drift.incident_notes import apply_note
from common.drift.judge import judge
from common.drift.stretches import Stretch, join_windows
from common.errors import BadMessage, NothingToLearnFrom
from common.features import FeatureBlock
from common.models.conditions import ConditionCache
from common.models.incident_actions import BROKE_OFF
from common.models.live_scoring import scored_by
from common.settings import Settings
from common.store import Store
from common.stream_config import model_of, settings_of_stream


def noted_incidents(store: Store, stream: str) -> list[Incident]:
    """Return the incidents of a stream as the notes in its inbox leave them: the open ones and the latest closed ones.

    The reducer may not have applied yet what a killed retraining had noted.
    """
    read = store.streams.window(stream)
    try:
        log = IncidentLog.from_json(read.incidents) if read.incidents else IncidentLog()
    except BadMessage:  # the reducer reports it, and goes on without
        return []
    for row in read.notes:
        if row.note is not None:
            log, _ = apply_note(log, row.note)
    return [*log.open, *log.closed]


def failing_incidents(store: Store, settings: Settings, model: str, streams: Sequence[str]) -> list[Incident]:
    """Return the failing incidents of those of `streams` that a model serves."""
    return [
        incident
        for stream in streams
        if model_of(settings, stream) == model
        for incident in noted_incidents(store, stream)
        if incident.state is IncidentState.FAILING
    ]


def unended(incident: Incident) -> list[Action]:
    """Return the retrainings that were begun for an incident and have not ended.

    While the model's lease is held no other retraining runs, so these were killed.
    """
    return [row for row in incident.actions if row.kind is ActionKind.RETRAIN and row.ended_at is None]


def came_to(incident: Incident, champion: ChampionRecord | None, decided: DecisionRecord | None) -> str:
    """Return a sentence about what a killed retraining had done for an incident, and decided against a challenger."""
    proved = [row for row in champion.conditions if row.incident == incident.id] if champion else []
    if champion is not None and not proved and decided is not None:
        return f"v{decided.champion} stays: {decided.reason}"
    if champion is None or not proved:
        return f"{BROKE_OFF}: its worker was killed"
    causes = ", ".join(sorted({row.cause for row in proved}))
    return f"v{champion.version} is proved on it ({causes}); the worker was killed before it could say so"


def stretches_of(
    store: Store, settings: Settings, incident: Incident, golden: StoredBaseline, champion: ChampionRecord | None
) -> list[Stretch]:
    """Return the stretches of an incident that are to be healed.

    Raises
    ------
    NothingToLearnFrom
        If its stream has another golden baseline now, or its features are no longer kept.
    """
    if incident.by_truth:
        raise NothingToLearnFrom(
            "what is true of the frames says that the model does worse, and their features are kept only where the "
            "footage fails too: retrain the model, and give the new version another `model` in the truth feed"
        )
    if incident.golden_id != golden.id:
        raise NothingToLearnFrom("its stream has another golden baseline now, by which it is judged from here on")
    rows = []
    for window in incident.windows:
        block = store.streams.evidence(incident.stream, window.event_id) if not window.condition else None
        if block is not None:
            rows.append((window, block))
    if not rows:
        raise NothingToLearnFrom("the features of its windows are no longer kept: see SENTINEL_RETENTION_DAYS")
    return join_windows(incident.stream, still_failing(rows, golden, champion, incident.stream, settings))


def still_failing(
    rows: Sequence[tuple[IncidentWindow, FeatureBlock]],
    golden: StoredBaseline,
    champion: ChampionRecord | None,
    stream: str,
    settings: Settings,
) -> list[tuple[IncidentWindow, FeatureBlock]]:
    """Return the windows that match no condition of the champion, nor are an ended one's own footage.

    Nor those in which another champion had decayed: the one of now has taken its place.

    Windows that failed while a retraining ran may match the condition that came of it. That is no fault that grows.
    What a condition was made of does not prove it again once it has ended: only fresh footage does.
    """
    conditions = _of(champion.conditions if champion else (), stream, golden)
    ended = _of(champion.ended if champion else (), stream, golden)
    own, now = settings_of_stream(settings, stream), time.time()
    found = []
    for window, block in rows:
        if window.cause is Cause.MODEL_DECAY and not _decayed_with(champion, block):
            continue
        taken_at = block.capture_time(-1)
        at = now if taken_at is None else taken_at
        known = [row for row in conditions if row.record.is_live(at)] + [
            row for row in ended if at <= row.record.proved
        ]
        judgement = judge(golden.baseline, block, threshold=own.drift_threshold, p_value=own.p_value, conditions=known)
        if judgement.condition is None:
            found.append((window, block))
    return found


def _decayed_with(champion: ChampionRecord | None, block: FeatureBlock) -> bool:
    """Return whether it is this champion that was scored in a window."""
    return champion is not None and block.scores is not None and block.scores.by == scored_by(champion)


def _of(records: Sequence[ConditionRecord], stream: str, golden: StoredBaseline) -> list[Condition]:
    return ConditionCache().of(tuple(row for row in records if (row.stream, row.golden_id) == (stream, golden.id)))
