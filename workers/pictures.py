"""Small pictures for people to look at: taken where frames are decoded, pinned where windows are judged.

Nothing is judged by a picture. What goes wrong with one is logged, and costs nothing else.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence

from billiard.exceptions import SoftTimeLimitExceeded

from common.contracts.batches import Chunk
from common.contracts.incidents import IncidentLog
from common.contracts.pictures import Picture, PictureNote
from common.contracts.verdicts import Status, Verdict
from common.features import FeatureBlock, Image
from common.judging import JudgedWindow
from common.modalities.modality import Sample
from common.modalities.registry import load_modality
from common.settings import Settings
from common.small_pictures import LONGEST_SIDE, encode_jpeg
from common.store import Store
from common.store.pictures import MOST_IN_RING, PER_INCIDENT, Pin, incident_pins, reference_pin
from common.store.streams import JudgedEvent

log = logging.getLogger(__name__)

_PER_WINDOW = 4  # as windows overlap by three quarters, each new one has a picture of its own
_REFERENCE_SECONDS = 3600.0  # how often the reference is taken anew, so that it is of about the same light
_MOST_REMEMBERED = 10_000  # references


class PictureTaker:
    """Takes a picture of every n-th sample that it is shown; `kept` then has them with their notes.

    Parameters
    ----------
    chunk : that the samples are of
    every : n
    """

    def __init__(self, chunk: Chunk, every: int) -> None:
        self._chunk = chunk
        self._every = every
        self._reduce = load_modality(chunk.feature_spec.modality).picture
        self._taken: dict[float, tuple[int, Image]] = {}

    def __call__(self, sample: Sample) -> None:
        """Take a picture of `sample` if its turn has come."""
        if self._reduce is None or sample.index % self._every:
            return
        try:
            self._taken[sample.time] = (sample.index, self._reduce(sample, LONGEST_SIDE))
            if len(self._taken) > MOST_IN_RING:
                del self._taken[next(iter(self._taken))]
        except SoftTimeLimitExceeded:
            raise
        except Exception as error:
            log.warning("stream %s: no picture of frame %d: %s", self._chunk.stream, sample.index, error)

    def pictures(self, features: FeatureBlock) -> Iterator[Picture]:
        """Yield the pictures of the frames in `features`, encoded."""
        for row, at in enumerate(features.times.tolist()):
            if at not in self._taken:
                continue
            index, image = self._taken[at]
            jpeg = encode_jpeg(image)
            if jpeg is not None:
                yield Picture(
                    PictureNote(
                        id=f"{self._chunk.batch_id}-{index}",
                        source=self._chunk.source.uri,
                        time=at,
                        taken_at=features.capture_time(row),
                        width=image.shape[1],
                        height=image.shape[0],
                    ),
                    jpeg,
                )


def taker(settings: Settings, chunk: Chunk) -> PictureTaker | None:
    """Return what takes pictures of `chunk`; None if none are to be kept."""
    if settings.keep_pictures == "off" or settings.picture_kb == 0:
        return None
    return PictureTaker(chunk, max(1, settings.window_frames // _PER_WINDOW))


def keep(store: Store, chunk: Chunk, taken: PictureTaker | None, features: FeatureBlock) -> None:
    """Store what was taken of `chunk`."""
    if taken is None:
        return
    try:
        store.pictures.keep(chunk, list(taken.pictures(features)))
    except SoftTimeLimitExceeded:
        raise
    except Exception as error:
        log.warning("stream %s: no picture of chunk %s is kept: %s", chunk.stream, chunk.id, error)


# --- where windows are judged


def pin(
    store: Store, stream: str, judged: Sequence[JudgedWindow], events: Sequence[JudgedEvent], incidents: IncidentLog
) -> None:
    """Pin pictures of what was judged: those of incidents' windows, and one of a window that nothing is wrong with.

    Parameters
    ----------
    judged : windows that were committed
    events : about them, in the same order
    incidents : of the stream, as they are since
    """
    if store.settings.keep_pictures == "off" or store.settings.picture_kb == 0:
        return
    try:
        departing = {row.event.id: row.window for row in events if row.departs}
        clear = [row for row in judged if _shows_golden(row.verdict) and _is_due(stream, row.verdict)]
        if not departing and not clear:
            return
        known = _by_frame(store.pictures.notes(stream).values())
        pins = [pin for row in clear for pin in _reference(row, known)]
        moved = {event.incident.id for row in events for event in row.incidents}
        for incident in incidents.open:
            fresh = [row.event_id for row in incident.windows if row.event_id in departing]
            # Its first windows were judged before it was confirmed, so they are not among these.
            before = [row.event_id for row in incident.windows[:PER_INCIDENT]] if incident.id in moved else []
            found = [_picture(_window(store, stream, row, departing), known) for row in dict.fromkeys(before + fresh)]
            pins += incident_pins(incident.id, [picture for picture in found if picture is not None]) if fresh else []
        if pins:
            store.pictures.pin(stream, pins)
    except SoftTimeLimitExceeded:
        raise
    except Exception as error:
        log.warning("stream %s: no picture of its windows is pinned: %s", stream, error)


_Frame = tuple[str, float, float | None]


def _by_frame(notes: Iterable[PictureNote]) -> dict[_Frame, str]:
    return {(note.source, note.time, note.taken_at): note.id for note in notes}


def _window(store: Store, stream: str, event_id: str, departing: dict[str, FeatureBlock]) -> FeatureBlock | None:
    return departing[event_id] if event_id in departing else store.streams.evidence(stream, event_id)


def _picture(window: FeatureBlock | None, known: dict[_Frame, str]) -> str | None:
    """Return the id of the latest picture of a frame in `window`, which shows what is wrong with it best."""
    if window is None:
        return None
    for row in reversed(range(len(window))):
        frame = (window.sources[window.source_index[row]], float(window.times[row]), window.capture_time(row))
        if frame in known:
            return known[frame]
    return None


def _shows_golden(verdict: Verdict) -> bool:
    return (
        verdict.status is Status.PASS
        and verdict.condition is None
        and verdict.resolution is None
        and not verdict.provisional
    )


_pinned_at: dict[tuple[str, str, str], float] = {}
"""Stream, baseline and segment -> when this process pinned their reference last, by the monotonic clock."""


def _is_due(stream: str, verdict: Verdict) -> bool:
    at = _pinned_at.get((stream, verdict.baseline_id, verdict.segment))
    return at is None or time.monotonic() - at > _REFERENCE_SECONDS


def _reference(row: JudgedWindow, known: dict[_Frame, str]) -> list[Pin]:
    picture = _picture(row.features, known)
    if picture is None:
        return []
    if len(_pinned_at) > _MOST_REMEMBERED:
        _pinned_at.clear()
    _pinned_at[row.verdict.stream, row.verdict.baseline_id, row.verdict.segment] = time.monotonic()
    return [reference_pin(row.verdict.baseline_id, row.verdict.segment, picture)]
