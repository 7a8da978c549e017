"""A person's word that the present is the new normal, and taking it back.

What was accepted is a baseline of its own, in a folder that is never written
again. An append-only history in Redis says which one is golden now; the step from
one to the next is a compare-and-set, with the notes for the stream's incidents.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common.baselines.accepted_baseline import fit_accepted
from common.baselines.accepted_footage import AcceptedFootage, footage_of
from common.baselines.binding import BaselineBinding
from common.baselines.golden import Golden
from common.baselines.learning.epoch import learned_root
from common.baselines.learning.new_epoch import learn_accepted, shows_nothing
from common.baselines.storage import load_baseline
from common.contracts.golden import GoldenChange, GoldenRecord
from common.contracts.ids import content_id
from common.contracts.incidents import Action, ActionKind, Incident, IncidentNote, IncidentState, NoteKind
from common.contracts.verdicts import Cause
from common.errors import BadBaseline, BadMessage, NotAccepted, UnknownStream
from common.models.condition_records import drop_conditions_of_stream
from common.settings import Settings
from common.store import Store
from common.store.golden import Appended


@dataclass(frozen=True)
class Proposal:
    """What `accept` would do, to be shown to the person who is to say yes.

    Attributes
    ----------
    stream, incidents, footage : what is to become golden
    golden : what is golden now
    latest : the latest record of the stream's history, over which the new one is appended
    """

    stream: str
    incidents: tuple[Incident, ...]
    footage: AcceptedFootage
    golden: Golden
    latest: GoldenRecord | None


def propose(store: Store, binding: BaselineBinding, stream: str, incident: str = "") -> Proposal:
    """Collect the footage of a stream's incidents that is to become golden.

    Parameters
    ----------
    incident : id of one incident of the stream, or its beginning; empty: all that are open

    Raises
    ------
    UnknownStream
        If no footage of the stream ever came.
    NotAccepted
        If there is no such incident, or its footage was not judged, is no longer kept, or is too little.
    """
    if not store.streams.is_known(stream):
        raise UnknownStream(f"there is no stream {stream!r}: see `sentinel streams list`")
    latest = _latest(store, stream)
    golden = binding.find(stream)
    incidents = _chosen(store, stream, incident)
    known = {golden.origin_id, *(row.baseline_id for row in _history(store, stream, golden.origin_id))}
    for row in incidents:
        if row.golden_id not in known:
            raise NotAccepted(
                f"incident {row.id} was judged by another golden baseline than stream {stream!r} has now: wait until "
                "its footage was judged by this one"
            )
    return Proposal(stream, incidents, footage_of(store.streams, incidents, golden), golden, latest)


def accept(store: Store, settings: Settings, proposal: Proposal, *, by: str, why: str) -> GoldenRecord:
    """Make what was proposed the stream's golden baseline, close its incidents and let go of its conditions.

    Raises
    ------
    NotAccepted
        If the footage cannot be a baseline, or somebody changed the stream's golden baseline meanwhile; then nothing
        has changed.
    BadBaseline
        If the baseline cannot be written.
    """
    stream, golden, latest = proposal.stream, proposal.golden, proposal.latest
    number = latest.number + 1 if latest is not None else 1
    made = _make(store, settings, proposal, number)
    record = GoldenRecord(
        stream=stream,
        number=number,
        change=GoldenChange.ACCEPTED,
        by=by,
        at=time.time(),
        why=why,
        origin_id=golden.origin_id,
        folder=str(made.folder),
        baseline_id=made.id,
        replaced_folder=None if golden.is_origin else str(golden.folder),
        replaced_id=golden.id,
        incidents=tuple(row.id for row in proposal.incidents),
        causes=proposal.footage.causes,
        frames=proposal.footage.frames,
    )
    said = f"accepted as the new normal{f': {why}' if why else ''}"
    try:
        _publish(store, record, latest, ActionKind.ACCEPT, NoteKind.CLOSE, said)
    except (NotAccepted, UnknownStream):  # after any other error the record may stand, and names the folder
        shutil.rmtree(made.folder, ignore_errors=True)
        raise
    drop_conditions_of_stream(store, stream)
    return record


@dataclass(frozen=True)
class _Made:
    """What is golden after an acceptance."""

    id: str
    folder: Path


def _make(store: Store, settings: Settings, proposal: Proposal, number: int) -> _Made:
    """Fit the accepted footage: a stream that learns begins a new epoch with it, any other has a fixed baseline.

    Footage in which nothing can be seen cannot be learned from; it becomes a fixed baseline in any case.
    """
    golden, footage = proposal.golden, proposal.footage
    if golden.learning is not None and not shows_nothing(footage, golden):
        return _Made(*learn_accepted(store, settings, footage, golden.learning, number))
    stored = fit_accepted(proposal.stream, footage, golden, number, settings)
    return _Made(stored.id, stored.folder)


def undo(store: Store, binding: BaselineBinding, stream: str, *, by: str, why: str) -> GoldenRecord:
    """Take the latest acceptance back that has not been undone yet; the golden baseline before it is golden again.

    Raises
    ------
    UnknownStream
        If no footage of the stream ever came.
    NotAccepted
        If there is nothing to undo, or somebody changed the stream's golden baseline meanwhile.
    BadBaseline
        If the golden baseline before it is missing or damaged.
    """
    if not store.streams.is_known(stream):
        raise UnknownStream(f"there is no stream {stream!r}: see `sentinel streams list`")
    latest = _latest(store, stream)
    origin_id, name = binding.origin(stream)
    standing = acceptances(_history(store, stream, origin_id))
    if latest is None or not standing:
        raise NotAccepted(
            f"there is nothing to undo: stream {stream!r} is judged by baseline {name!r}, as its "
            "settings say, or as it has learned"
        )
    last = standing[-1]
    if last.replaced_folder is not None:
        _require_there(binding, stream, Path(last.replaced_folder))
    record = last.model_copy(
        update={
            "number": latest.number + 1,
            "change": GoldenChange.UNDONE,
            "by": by,
            "at": time.time(),
            "why": why,
            "folder": last.replaced_folder,
            "baseline_id": last.replaced_id,
            "replaced_folder": last.folder,
            "replaced_id": last.baseline_id,
            "undoes": last.number,
            "causes": {},
            "frames": 0,
        }
    )
    said = f"the acceptance was undone{f': {why}' if why else ''}"
    _publish(store, record, latest, ActionKind.UNDO, NoteKind.ACTION, said)
    drop_conditions_of_stream(store, stream)
    return record


def _require_there(binding: BaselineBinding, stream: str, folder: Path) -> None:
    """Raise `BadBaseline` if what is to be golden again is no longer there."""
    if folder.parent != learned_root(binding.settings.state_dir, stream):
        load_baseline(folder)
    elif not folder.is_dir():
        raise BadBaseline(f"{folder}, which stream {stream!r} has learned, is gone: restore it")


def acceptances(history: Sequence[GoldenRecord]) -> list[GoldenRecord]:
    """Return the acceptances that stand one over the other, oldest first; the last one is golden now.

    Parameters
    ----------
    history : a stream's records over one golden baseline of the settings, oldest first
    """
    standing: list[GoldenRecord] = []
    for record in history:
        if record.change is GoldenChange.ACCEPTED:
            standing.append(record)
        elif standing:
            standing.pop()
    return standing


def _latest(store: Store, stream: str) -> GoldenRecord | None:
    try:
        return store.golden.latest(stream)
    except BadMessage as error:
        raise NotAccepted(f"the history of stream {stream!r} cannot be read ({error})") from error


def _history(store: Store, stream: str, origin_id: str) -> list[GoldenRecord]:
    """Return the records since the golden baseline of the settings was `origin_id` last, oldest first."""
    try:
        history = store.golden.history(stream)
    except BadMessage as error:
        raise NotAccepted(f"the history of stream {stream!r} cannot be read ({error})") from error
    others = [place for place, record in enumerate(history) if record.origin_id != origin_id]
    return history[others[-1] + 1 :] if others else history


def _chosen(store: Store, stream: str, wanted: str) -> tuple[Incident, ...]:
    incidents = store.streams.incidents(stream)
    if not wanted:
        found = tuple(row for row in incidents if row.state is not IncidentState.CLOSED and row.is_of_footage)
        if not found:
            raise NotAccepted(
                f"stream {stream!r} has no open incident, so nothing of it departs from its golden baseline: name a "
                "closed one with --incident, see `sentinel incidents list`"
            )
        return found
    found = tuple(row for row in incidents if row.id.startswith(wanted))
    if len(found) != 1:
        known = ", ".join(row.id for row in incidents) or "none"
        raise NotAccepted(
            f"{len(found)} incidents of stream {stream!r} begin with {wanted!r} (there are: {known}): see "
            "`sentinel incidents list`"
        )
    if found[0].by_truth:
        raise NotAccepted(
            f"incident {found[0].id} is about the model of stream {stream!r} and not about its footage: it is closed "
            "once what is true of the frames is as good as the reference; a new version has a reference of its own"
        )
    if found[0].cause is Cause.OFFLINE:
        raise NotAccepted(
            f"incident {found[0].id} is a silence of stream {stream!r}, which has no footage to learn from: it is "
            "closed once frames come; where silence is normal, set offline_seconds = 0 in the stream's table"
        )
    return found


def _publish(
    store: Store, record: GoldenRecord, latest: GoldenRecord | None, action: ActionKind, note: NoteKind, outcome: str
) -> None:
    """Append `record`, and with it a note to each of its incidents, or raise `NotAccepted`."""
    stream = record.stream
    done = Action(
        id=content_id(action, stream, record.number),
        kind=action,
        by=record.by,
        at=record.at,
        ended_at=record.at,
        outcome=outcome,
    )
    notes = [
        IncidentNote(id=content_id(done.id, incident), stream=stream, kind=note, incident=incident, action=done)
        for incident in record.incidents
    ]
    result = store.golden.append(record, over=latest, notes=notes)
    if result is Appended.UNKNOWN_STREAM:
        raise UnknownStream(f"stream {stream!r} was forgotten meanwhile")
    if result is Appended.CHANGED:
        raise NotAccepted(
            f"somebody else changed the golden baseline of stream {stream!r} meanwhile: look at it with "
            "`sentinel streams show`, and say it again"
        )
