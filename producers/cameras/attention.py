"""Which segments of a live camera are handed in whole, and of which the key frames are enough.

Nothing is kept for that: it follows from the stream's latest verdict and from what it has learned, which are stored
anyway. Whatever is not known counts as doubt, so that a stream whose verdicts do not come is never looked at less.
"""

from __future__ import annotations

import math

from common.baselines.binding import BaselineBinding
from common.baselines.golden import Golden
from common.baselines.learning.choosing import burst_id, slot_seconds
from common.drift.doubt import is_in_doubt
from common.errors import SentinelError
from common.settings import Settings
from common.store import Store
from common.stream_config import settings_of_stream
from producers.cameras.segments import Segment


class Attention:
    """Says how closely streams are to be looked at.

    Parameters
    ----------
    baselines : finds the baseline of each stream
    """

    def __init__(self, settings: Settings, store: Store, baselines: BaselineBinding) -> None:
        self._settings = settings
        self._store = store
        self._baselines = baselines

    def is_quiet(self, segment: Segment) -> bool:
        """Return whether the key frames of a segment are enough; raises what Redis raises."""
        stream = segment.stream
        score = settings_of_stream(self._settings, stream).closer_score
        if score == 0:
            return False
        try:
            golden = self._baselines.current(stream)
        except SentinelError:  # whoever accepts the segment says so
            return False
        verdict = self._store.streams.window(stream).verdict
        if verdict is None or verdict.baseline_id != golden.id or is_in_doubt(verdict, score):
            return False
        return verdict.confirmed or not self._is_learned(segment, golden)

    def _is_learned(self, segment: Segment, golden: Golden) -> bool:
        """Return whether the learner waits for footage of this time, which has to be as its baseline's."""
        learning = golden.learning
        if learning is None:
            return False
        if golden.stored is None:
            return True
        slot = math.floor(segment.began / slot_seconds(self._settings))
        return not self._store.learning.has_taken(segment.stream, burst_id(learning, slot))
