"""What a stream went through, as one page: scores over time, incidents with their pictures, what was done, settings.

HTML with everything in it, nothing to load: it opens offline, and stays as it was when Redis has forgotten.
"""

from __future__ import annotations

import base64
import importlib.metadata
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common.contracts.events import WindowFailed, WindowPassed
from common.contracts.incidents import Incident
from common.contracts.pictures import IncidentPictures, PictureNote
from common.contracts.policy import Policy
from common.contracts.verdicts import Cause, Status, Verdict
from common.errors import UnknownStream
from common.incident_story import Moment, time_line, times_text
from common.moments import clock
from common.printable import printable
from common.queries import StreamStatus, incidents, stream_status
from common.responses import advice_about
from common.settings import Settings
from common.store import Store
from common.stream_config import model_of, settings_of_stream
from sentinel.report import page_template, write_page

_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 860, 220, 40, 24  # of the picture, in its own units
_MOST_INCIDENTS = 20  # the latest ones are told in full
_PER_INCIDENT = 4  # pictures
_SHOWN_SETTINGS = (
    "drift_threshold", "p_value", "false_alarms_per_day", "window_frames", "sample_fps", "embed_every", "policy",
    "ignore", "decay_triplets", "retrain_steps", "promote_min_gain_db", "promote_max_loss_db",
)  # fmt: skip
"""Settings that decide verdicts and healing; none of them is a secret."""


@dataclass(frozen=True)
class Column:
    """The worst window in a part of the time, as it is drawn."""

    x: float
    y: float
    height: float
    status: Status
    title: str


@dataclass(frozen=True)
class Span:
    """When an incident lasted, as it is drawn."""

    x: float
    width: float
    title: str


@dataclass(frozen=True)
class Chart:
    """Scores over time, with the threshold as a line across them, and incidents behind them."""

    columns: tuple[Column, ...]
    spans: tuple[Span, ...]
    line: float
    begins: str
    ends: str
    width: int = _WIDTH
    height: int = _HEIGHT
    left: int = _LEFT
    axis: int = _HEIGHT - _BOTTOM


@dataclass(frozen=True)
class Shown:
    """A picture in the page."""

    data: str
    caption: str


@dataclass(frozen=True)
class Told:
    """An incident in the page."""

    incident: Incident
    advice: str
    times: str
    moments: tuple[Moment, ...]
    pictures: tuple[Shown, ...]


def write_stream_report(store: Store, settings: Settings, stream: str, path: Path, *, since: float) -> int:
    """Write the page about a stream since `since`, seconds since the epoch; return the number of its windows.

    Raises
    ------
    UnknownStream
        If no footage of it ever came.
    SentinelError
        If it cannot be written.
    """
    if not store.streams.is_known(stream):
        raise UnknownStream(f"there is no stream {stream!r}: see `sentinel status`")
    windows = verdicts_since(store, stream, since)
    text = page(store, settings_of_stream(settings, stream), stream, windows, since=since, now=time.time())
    write_page(text, path)
    return len(windows)


def verdicts_since(store: Store, stream: str, since: float) -> list[tuple[float, Verdict]]:
    """Return the verdicts of a stream that were announced since then, by when their footage was taken."""
    found: list[tuple[float, Verdict]] = []
    for event in store.event_log.events(newest_first=True):
        if event.time < since:
            break
        if event.stream == stream and isinstance(event, WindowPassed | WindowFailed):
            taken = event.verdict.taken_to
            found.append((event.time if taken is None else taken, event.verdict))
    return sorted(found, key=lambda row: row[0])


def page(
    store: Store, settings: Settings, stream: str, windows: Sequence[tuple[float, Verdict]], *, since: float, now: float
) -> str:
    """Return the whole page; `settings` are those of the stream."""
    policy = Policy.parse(settings.policy)
    told = [row for row in incidents(store, stream=stream) if row.latest_at >= since or row.closed_at is None]
    status = stream_status(store, stream, now)
    kept = store.pictures.of_stream(stream)
    references = [_shown(store, stream, row.note, f"as golden, {_when(row.note)}") for row in kept.references[-1:]]
    latest = [_shown(store, stream, kept.latest, f"latest, {_when(kept.latest)}")] if kept.latest else []
    rows = [
        Told(
            incident,
            advice_about(incident.cause, policy, of_user=incident.is_of_user),
            times_text(incident) if incident.times_this_week > 1 else "",
            tuple(time_line(incident)),
            tuple(
                shown
                for note in _of_incident(kept.incidents.get(incident.id, IncidentPictures()))
                if (shown := _shown(store, stream, note, _when(note))) is not None
            ),
        )
        for incident in told[:_MOST_INCIDENTS]
    ]
    worst = max((verdict for _, verdict in windows), key=_rank, default=None)
    return page_template("stream_report.html.j2").render(
        stream=stream,
        status=status,
        state=_state(status),
        model=model_of(settings, stream),
        champion=store.champions.champion(model_of(settings, stream)),
        begins=clock(since),
        ends=clock(now),
        windows=len(windows),
        failed=sum(verdict.status is Status.FAIL for _, verdict in windows),
        causes=Counter(verdict.cause for _, verdict in windows if verdict.cause).most_common(),
        chart=chart(windows, told, settings.drift_threshold) if windows else None,
        threshold=settings.drift_threshold,
        pictures=[row for row in (*references, *latest) if row is not None],
        incidents=rows,
        left_out=len(told) - len(rows),
        worst=worst,
        settings={f"SENTINEL_{name.upper()}": getattr(settings, name) for name in _SHOWN_SETTINGS},
        version=importlib.metadata.version("sentinel-drift"),
        clock=clock,
    )


def chart(windows: Sequence[tuple[float, Verdict]], told: Sequence[Incident], threshold: float) -> Chart:
    """Return the scores over time: of the windows that fall on the same place the worst one."""
    begins, ends = windows[0][0], max(windows[-1][0], windows[0][0] + 1.0)
    axis = _HEIGHT - _BOTTOM

    def x(at: float) -> float:
        return _LEFT + (_WIDTH - _LEFT) * min(max((at - begins) / (ends - begins), 0.0), 1.0)

    worst: dict[int, tuple[float, Verdict]] = {}
    for at, verdict in windows:
        place = round(x(at))
        known = worst.get(place)
        if known is None or _rank(verdict) > _rank(known[1]):
            worst[place] = at, verdict
    columns = []
    for place, (at, verdict) in sorted(worst.items()):
        top = axis * (1 - verdict.drift_score)
        title = (
            f"{clock(at)}: {verdict.status}, {verdict.drift_score:.2f}, p {verdict.p_value:.2g} {verdict.cause or ''}"
        )
        columns.append(Column(place, top, axis - top + 1, verdict.status, title.strip()))
    spans = []
    for incident in told:
        if incident.cause is Cause.OFFLINE or incident.latest_at < begins:
            continue
        left, right = x(incident.since_time), x(incident.latest_at)
        spans.append(Span(left, max(right - left, 1.0), f"{incident.cause} since {clock(incident.since_time)}"))
    return Chart(tuple(columns), tuple(spans), axis * (1 - threshold), clock(begins), clock(ends))


def _rank(verdict: Verdict) -> tuple[bool, float]:
    return verdict.status is Status.FAIL, verdict.drift_score


def _state(status: StreamStatus) -> str:
    if status.incidents:
        first = status.incidents[0]
        return f"{first.state}: {first.cause} since {clock(first.since_time)}"
    return "no verdict yet" if status.status is None else f"{status.status}, nothing is open"


def _of_incident(kept: IncidentPictures) -> list[PictureNote]:
    """Return the first and the latest pictures of an incident, each once."""
    half = _PER_INCIDENT // 2
    return list({note.id: note for note in (*kept.first[:half], *kept.latest[-half:])}.values())


def _shown(store: Store, stream: str, note: PictureNote, caption: str) -> Shown | None:
    jpeg = store.pictures.jpeg(stream, note.id)
    if jpeg is None:
        return None
    return Shown(f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}", caption)


def _when(note: PictureNote) -> str:
    if note.taken_at is not None:
        return clock(note.taken_at)
    return f"{printable(Path(note.source).name)} at {note.time:.1f} s"
