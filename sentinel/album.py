"""Pictures for the report of a check, taken while it is judged: of each run of failed windows, its worst one."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from common.baselines.learning.pictures import golden_examples
from common.baselines.storage import StoredBaseline
from common.contracts.verdicts import Cause, Status, Verdict, worst
from common.errors import SentinelError
from common.extraction import Look
from common.features import Image
from common.modalities.modality import Sample
from common.modalities.registry import load_modality
from common.models.side_by_side import first_picture
from common.printable import printable
from common.settings import Settings
from common.small_pictures import LONGEST_SIDE, encode_jpeg, reduced

log = logging.getLogger(__name__)

BLOCK_FRAMES = 64
"""Frames that are judged in one step: they bound memory and move the progress bar."""
MOST_SHOTS = 12
"""Runs of failed windows that have a picture: those with the highest scores."""
_AHEAD_BLOCKS = 3  # that may be decoded before the windows in the first one are judged
_PER_WINDOW = 4


@dataclass(frozen=True)
class Shot:
    """A picture of a run of failed windows: a frame of its worst window."""

    verdict: Verdict
    jpeg: bytes
    source: str
    time: float

    @property
    def caption(self) -> str:
        return f"{self.verdict.cause}: {printable(Path(self.source).name)} at {self.time:.1f} s"


@dataclass(frozen=True)
class _Taken:
    """A small picture of the sample at `position` in the stream."""

    position: int
    source: str
    time: float
    image: Image


class Album:
    """Takes some pictures of each window as its frames are decoded, and keeps one of each run of windows that fail.

    Parameters
    ----------
    stored : that the windows are judged by
    """

    def __init__(self, stored: StoredBaseline) -> None:
        window = stored.baseline.rule.frames
        self._every = max(1, window // _PER_WINDOW)
        self._picture = load_modality(stored.baseline.feature_spec.modality).picture
        self._ring: deque[_Taken] = deque(maxlen=math.ceil((window + _AHEAD_BLOCKS * BLOCK_FRAMES) / self._every) + 1)
        self._seen = 0
        self._cause: Cause | None = None
        self._first = ""
        self._worst: tuple[Verdict, _Taken] | None = None
        self._shots: dict[str, Shot] = {}

    def opened(self, source: str) -> Look:
        """Return what the samples of the next source are shown to."""

        def look(sample: Sample) -> None:
            position = self._seen
            self._seen += 1
            if self._picture is None or position % self._every:
                return
            try:
                self._ring.append(_Taken(position, source, sample.time, self._picture(sample, LONGEST_SIDE)))
            except Exception as error:  # nothing is judged by a picture
                log.warning("no picture of %s at %.1f s: %s", source, sample.time, error)

        return look

    def judged(self, verdicts: Iterable[Verdict]) -> None:
        """Note verdicts, in the order of the stream, while the pictures of their windows are still there."""
        for verdict in verdicts:
            if verdict.cause != self._cause or not self._first:
                self._end_run()
                self._cause, self._first = verdict.cause, verdict.id
            if verdict.status is Status.FAIL and (taken := self._of(verdict)) is not None:
                known = self._worst
                if known is None or worst([known[0], verdict]) is verdict:
                    self._worst = verdict, taken

    def _of(self, verdict: Verdict) -> _Taken | None:
        """Return the picture of a window that is next to its worst frame; None: there is none."""
        inside = [row for row in self._ring if verdict.start <= row.position < verdict.stop]
        farthest = next(iter(verdict.worst_frames), None)
        if farthest is None:
            return inside[-1] if inside else None
        return min(inside, key=lambda r: (r.source != farthest.source, abs(r.time - farthest.time)), default=None)

    def _end_run(self) -> None:
        if self._worst is None:
            return
        verdict, taken = self._worst
        self._worst = None
        jpeg = encode_jpeg(taken.image)
        if jpeg is None:
            return
        self._shots[self._first] = Shot(verdict, jpeg, taken.source, taken.time)
        if len(self._shots) > MOST_SHOTS:
            del self._shots[min(self._shots, key=lambda run: self._shots[run].verdict.drift_score)]

    def shots(self) -> dict[str, Shot]:
        """Return the pictures after the last verdict, by the id of the first verdict of their run."""
        self._end_run()
        return dict(self._shots)


def album_of(settings: Settings, stored: StoredBaseline) -> Album | None:
    """Return an album for a check against `stored`; None if no picture is to be kept."""
    return None if settings.keep_pictures == "off" else Album(stored)


def reference_of(settings: Settings, stored: StoredBaseline) -> bytes | None:
    """Return a picture of what the baseline was made from, as a JPEG, from the examples that are kept beside it.

    None if it keeps none, or if there are zones that it shows nothing of: the examples are whole frames.
    """
    if settings.keep_pictures == "off" or stored.baseline.feature_spec.ignore:
        return None
    try:
        examples = golden_examples(stored.folder)
    except SentinelError as error:  # nothing is judged by it
        log.warning("the report shows no golden picture: %s", error)
        return None
    picture = None if examples is None else first_picture(examples)
    return None if picture is None else encode_jpeg(reduced(picture))
