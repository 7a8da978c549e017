"""What a stream went through, as one page: scores over time, incidents with their pictures, what was done, settings.

HTML with everything in it, nothing to load: it opens offline, and stays as it was when Redis has forgotten.
"""

from __future__ import annotations

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
from sentinel.pages import (
    Chart,
    Gallery,
    Point,
    Shown,
    Stretch,
    chart,
    page_template,
    rank,
    settings_rows,
    version_rows,
    write_page,
)

_MOST_INCIDENTS = 20  # the latest ones are told in full
_PER_INCIDENT = 4  # pictures
_MOST_BASELINES = 10


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
    gallery = Gallery()

    def shown(note: PictureNote, before: str = "") -> Shown | None:
        return gallery.show(store.pictures.jpeg(stream, note.id), f"{before}{_when(note)}")

    references = [shown(row.note, "as golden, ") for row in kept.references[-1:]]
    latest = [shown(kept.latest, "latest, ")] if kept.latest else []
    rows = [
        Told(
            incident,
            advice_about(incident.cause, policy, of_user=incident.is_of_user),
            times_text(incident) if incident.times_this_week > 1 else "",
            tuple(time_line(incident)),
            tuple(
                picture
                for note in _of_incident(kept.incidents.get(incident.id, IncidentPictures()))
                if (picture := shown(note)) is not None
            ),
        )
        for incident in told[:_MOST_INCIDENTS]
    ]
    worst = max((verdict for _, verdict in windows), key=rank, default=None)
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
        chart=scores(windows, told, settings.drift_threshold) if windows else None,
        pictures=[row for row in (*references, *latest) if row is not None],
        incidents=rows,
        left_out=len(told) - len(rows),
        worst=worst,
        pictures_left_out=gallery.left_out,
        settings=settings_rows(settings),
        versions=[*version_rows(), *_baseline_rows(windows)],
        clock=clock,
    )


def scores(windows: Sequence[tuple[float, Verdict]], told: Sequence[Incident], threshold: float) -> Chart:
    """Return the scores over time, with incidents shaded."""
    begins, ends = windows[0][0], max(windows[-1][0], windows[0][0] + 1.0)

    def place(at: float) -> float:
        return (at - begins) / (ends - begins)

    points = [
        Point(
            place(at),
            place(at),
            verdict,
            f"{clock(at)}: {verdict.status}, {verdict.drift_score:.2f}, p {verdict.p_value:.2g} "
            f"{verdict.cause or ''}".strip(),
        )
        for at, verdict in windows
    ]
    spans = [
        Stretch(
            place(incident.since_time),
            place(incident.latest_at),
            f"{incident.cause} since {clock(incident.since_time)}",
        )
        for incident in told
        if incident.cause is not Cause.OFFLINE and incident.latest_at >= begins
    ]
    return chart(points, threshold=threshold, begins=clock(begins), ends=clock(ends), spans=spans)


def _baseline_rows(windows: Sequence[tuple[float, Verdict]]) -> list[tuple[str, str]]:
    """Return the baselines that the windows were judged by, the latest first, with their digests."""
    found = dict.fromkeys((verdict.baseline, verdict.baseline_id) for _, verdict in reversed(windows))
    return [(f"baseline {name}", digest) for name, digest in list(found)[:_MOST_BASELINES]]


def _state(status: StreamStatus) -> str:
    if status.incidents:
        first = status.incidents[0]
        return f"{first.state}: {first.cause} since {clock(first.since_time)}"
    return "no verdict yet" if status.status is None else f"{status.status}, nothing is open"


def _of_incident(kept: IncidentPictures) -> list[PictureNote]:
    """Return the first and the latest pictures of an incident, each once."""
    half = _PER_INCIDENT // 2
    return list({note.id: note for note in (*kept.first[:half], *kept.latest[-half:])}.values())


def _when(note: PictureNote) -> str:
    if note.taken_at is not None:
        return clock(note.taken_at)
    return f"{printable(Path(note.source).name)} at {note.time:.1f} s"
