"""The footage of a stream's incidents, as far as it shows the new normal alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from common.baselines.golden import Golden
from common.contracts.incidents import Incident, IncidentWindow
from common.contracts.verdicts import Cause
from common.drift.conditions import frames_needed
from common.drift.judge import judge
from common.drift.scene_change import Mixture, two_scenes
from common.drift.stretches import Stretch, join_windows
from common.errors import BadMessage, NotAccepted
from common.features import FeatureBlock
from common.store.streams import StreamStore

_OTHER_SCENE = frozenset({Cause.CAMERA_MOVED, Cause.NEW_CONTENT, Cause.COVERED, Cause.BLACK, Cause.FROZEN})
"""Two of these side by side in one baseline would make everything between them normal."""


@dataclass(frozen=True)
class AcceptedFootage:
    """Features of the footage that is to become golden.

    Attributes
    ----------
    clips : name and features of each stretch, frames in order
    causes : windows by what the judge named on them
    adds : whether it adds to what the stream has learned, as an hour does that was not known; else it takes its place
    """

    clips: tuple[tuple[str, FeatureBlock], ...]
    causes: dict[Cause, int]
    adds: bool = False

    @property
    def frames(self) -> int:
        """Number of sampled frames."""
        return sum(len(block) for _, block in self.clips)

    @property
    def taken(self) -> tuple[float, float] | None:
        """Capture times of its first and its last frame, seconds since the epoch; None if they are unknown."""
        times = np.concatenate([block.taken_at for _, block in self.clips])
        known = times[np.isfinite(times)]
        return (float(known.min()), float(known.max())) if len(known) else None


def footage_of(streams: StreamStore, incidents: Iterable[Incident], golden: Golden) -> AcceptedFootage:
    """Return the footage of `incidents`, which are of one stream, without frames that are like `golden`.

    Parameters
    ----------
    golden : what the footage departs from; while nothing is learned, all of the footage is taken

    Raises
    ------
    NotAccepted
        If no features of the incidents' windows are kept, they were made another way, or the footage is too short.
    """
    stream, rows = _evidence(streams, incidents)
    if not rows:
        raise NotAccepted(
            f"of stream {stream!r} no features of judged windows are kept, so there is nothing to learn from: accept "
            "while the incident goes on, or raise SENTINEL_RETENTION_DAYS"
        )
    features = {window.event_id: block for window, block in rows}
    try:
        parts = [_departed(golden, stretch, features) for stretch in join_windows(stream, rows)]
    except BadMessage as error:
        raise NotAccepted(f"the windows of stream {stream!r} were not made as its baseline asks ({error})") from error
    needed = golden.rule.frames if golden.learning is not None else frames_needed(golden.rule.frames)
    clips = tuple((f"{stream}@{start}", block) for start, block in parts if len(block) >= needed)
    if not clips:
        raise NotAccepted(_too_short(stream, [block for _, block in parts], needed, golden))
    return AcceptedFootage(
        clips,
        dict(Counter(window.cause for window, _ in rows)),
        _is_of_unknown_hours(golden, clips, (window.cause for window, _ in rows)),
    )


def _evidence(
    streams: StreamStore, incidents: Iterable[Incident]
) -> tuple[str, list[tuple[IncidentWindow, FeatureBlock]]]:
    """Return the name of the stream, and the windows whose features are kept, with them."""
    stream = ""
    found: dict[str, tuple[IncidentWindow, FeatureBlock]] = {}
    for incident in incidents:
        stream = incident.stream
        for window in incident.windows:
            try:
                features = streams.evidence(stream, window.event_id)
            except BadMessage as error:
                raise NotAccepted(f"features of stream {stream!r} cannot be read: {error}") from error
            if features is not None:
                found[window.event_id] = (window, features)
    return stream, list(found.values())


def _departed(golden: Golden, stretch: Stretch, features: Mapping[str, FeatureBlock]) -> tuple[int, FeatureBlock]:
    """Return a stretch without the frames before the change and after its end, and the position of its first frame.

    The first window that fails begins with frames that are like the golden ones, the last
    one may end with such. The onset within a window is what the judge names; read
    backwards, it is the end.
    """
    first, last = stretch.windows[0], max(stretch.windows, key=lambda window: window.stop)
    begin = _onset(golden, features[first.event_id])
    end = len(stretch.block) - _onset(golden, features[last.event_id][::-1])
    block = stretch.block[begin : max(begin, end)]
    found = two_scenes(block, golden.groups, golden.rule.frames)
    if found is not None and found[0] is Mixture.CONSECUTIVE:  # it changed again: the later part is the present
        begin, block = begin + found[1], block[found[1] :]
    return stretch.first + begin, block


def _onset(golden: Golden, window: FeatureBlock) -> int:
    """Return the first frame of `window` that departs from `golden`."""
    began = judge(golden.stored.baseline, window).began if golden.stored is not None else None
    if began is None:
        return 0
    for frame in range(len(window)):
        if window.source_of(frame) == began.source and float(window.times[frame]) == began.time:
            return frame
    return 0


def _is_of_unknown_hours(golden: Golden, clips: Sequence[tuple[str, FeatureBlock]], causes: Iterable[Cause]) -> bool:
    """Return whether all footage is of hours that the stream has not learned yet, and shows the same scene."""
    if golden.learning is None or golden.stored is None or not _OTHER_SCENE.isdisjoint(causes):
        return False
    baseline = golden.stored.baseline
    return all(judge(baseline, block[: baseline.rule.frames]).provisional for _, block in clips)


def _too_short(stream: str, blocks: list[FeatureBlock], needed: int, golden: Golden) -> str:
    longest = max(len(block) for block in blocks)
    rate = golden.stored.baseline.frames_per_second if golden.stored is not None else 1.0
    seconds = (needed - longest) / max(rate, 1e-9)
    return (
        f"too little footage of stream {stream!r} shows the new normal: its longest stretch has {longest} sampled "
        f"frames, a baseline needs {needed}: wait for about {seconds:.0f} s more of it, then accept again"
    )
