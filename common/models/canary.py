"""The canary: after a promotion a version before it runs beside the champion, and comes back if that is worse.

The gate decides on footage that it has. What comes later may be other, so on live examples of each stream both versions
are scored, and bettors stake on the earlier one: their wealth grows while it is better by more than a promotion may
lose. All streams of a model and all stretches of their examples share one error, so the more there are the more each
has to show. Each stretch is bet on anew, so that a champion that was as good by day is found to be worse by night.
Streams whose camera is failing are left out: their footage says nothing about what the model is for.

The champion that turned out worse is rolled back, with the conditions that only it was proved on, and the model is
held: the same footage would lead to the same challenger, so a person has to look.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from common.contracts.conditions import ConditionRecord
from common.contracts.incidents import IncidentState
from common.contracts.models import ChampionRecord
from common.contracts.verdicts import Cause
from common.models.betting import Bets, Finding, bet
from common.models.registry import Proof, roll_back_worse
from common.settings import Settings
from common.store import Store
from common.store.canaries import SECONDS_KEPT
from common.stream_config import model_of

_ERROR = 0.05  # probability of ever rolling back a champion that loses no more than a promotion may, of one promotion
_BLOCK = 5  # live examples of a stream are apart from each other, so smaller blocks than the gate's will do
_STRETCH = 100  # live examples after which the bets begin anew
_CLIPS_DB = (0.5, 2.0)  # the narrow one finds a small loss of all examples soon, the wide one a large loss of some
_NEVER = 1e-300  # error of giving up: there is always later footage


def was_promoted(history: Sequence[ChampionRecord]) -> bool:
    """Return whether the latest version is one that the gate promoted, and nobody brought back.

    Parameters
    ----------
    history : versions of one model, oldest first; at least one
    """
    # A version that a rollback or a person brought back keeps the decision that once promoted it.
    latest, earlier = history[-1], history[:-1]
    return latest.decision is not None and all(row.decision != latest.decision for row in earlier)


def compared_with(
    history: Sequence[ChampionRecord], is_proven: Callable[[ChampionRecord], bool]
) -> ChampionRecord | None:
    """Return the version that the champion is compared with on live footage; None: it was not promoted by the gate.

    It is the one that it replaced, unless that was promoted itself and has not stood its own comparison yet: then it is
    the one before that, and so on. A bad promotion is not hidden by another on top of it.

    Parameters
    ----------
    history : every version of one model, oldest first; at least one
    is_proven : returns whether a promoted version has been compared to the end
    """
    before = None
    rest = list(history)
    while was_promoted(rest) and (before is None or not is_proven(before)):
        parent = next((row for row in rest[:-1] if row.version == rest[-1].parent), None)
        if parent is None or parent.model_digest is None:
            break
        before, rest = parent, [row for row in rest if row.version <= parent.version]
    return before


def bets_on(differences: Sequence[float], streams: int, settings: Settings) -> Bets | None:
    """Return the bets that are sure that the version before is better on a stream than a promotion may lose, if any.

    Parameters
    ----------
    differences : of the version before and the champion on each live example, dB
    streams : of the model
    """
    values = np.array([value for value in differences if math.isfinite(value)], np.float32)
    stretches = max(math.ceil(settings.canary_triplets / _STRETCH), 1)
    error = _ERROR / (max(streams, 1) * stretches * len(_CLIPS_DB))
    for start in range(0, len(values), _STRETCH):
        for clip in _CLIPS_DB:
            part, least = values[start : start + _STRETCH], settings.promote_max_loss_db
            bets = bet(part, least, error=error, early_error=_NEVER, block=_BLOCK, clip_db=clip)
            if bets.finding is Finding.ABOVE:
                return bets
    return None


class Canary:
    """Compares the champion of a model with a version before it, on what its streams show."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self.store = store
        self.settings = settings

    def wanted(self, stream: str, champion: ChampionRecord, chunk: str) -> ChampionRecord | None:
        """Return the version that is to be compared with the champion on a chunk of a stream; None: none is.

        None is once there are enough live examples, or the chunk, by its id, was compared already.
        """
        most = self.settings.canary_triplets
        if most == 0 or champion.decision is None or time.time() > champion.created_at + SECONDS_KEPT:
            return None
        known = self.store.canaries.by_chunk(stream, champion)
        if chunk in known or _count(known) >= most or not self._counts(stream):
            return None
        return self.before(champion)

    def note(self, stream: str, champion: ChampionRecord, chunk: str, differences: Sequence[float]) -> bool:
        """Note what a chunk shows; return whether the retrain worker has to be asked to look at the model.

        Parameters
        ----------
        differences : of the version that is compared and the champion on each example of the chunk, dB
        """
        self.store.canaries.add(stream, champion, chunk, differences)
        shown = _flat(self.store.canaries.by_chunk(stream, champion))
        bets = bets_on(shown, len(self._streams(champion.model)), self.settings)
        return bets is not None and self.store.canaries.ask(champion.model)

    def before(self, champion: ChampionRecord) -> ChampionRecord | None:
        """Return the version that a champion is compared with; None: none, or it is no longer champion."""
        history = self.store.champions.history(champion.model)
        if not history or history[-1].version != champion.version:
            return None
        return compared_with(history, self._is_proven)

    def turned_worse(self, champion: ChampionRecord) -> list[str]:
        """Return for each stream on which the champion is surely worse than the version before it the figures."""
        streams = self._streams(champion.model)
        found = []
        for stream in streams:
            known = self.store.canaries.by_chunk(stream, champion)
            bets = bets_on(_flat(known), len(streams), self.settings)
            if bets is not None and self._counts(stream):
                found.append(f"{bets.mean_db:.2f} dB on {bets.examples} live examples of stream {stream}")
        return found

    def settle(self, model: str, prove: Proof) -> tuple[ChampionRecord, list[ConditionRecord]] | None:
        """Roll the champion back if it turned out worse; return the new champion's record and the dropped conditions.

        The model's lease is held.

        Raises
        ------
        NotPromoted
            If somebody else changed the champion meanwhile.
        """
        champion = self.store.champions.champion(model)
        before = self.before(champion) if champion is not None else None
        if champion is None or before is None or not (worse := self.turned_worse(champion)):
            return None
        reason = f"v{champion.version} turned out worse than v{before.version}: by {'; '.join(worse)}"
        return roll_back_worse(self.store, champion, before.version, reason, prove)

    def _is_proven(self, version: ChampionRecord) -> bool:
        """Return whether a stream has shown enough of a version for its comparison to end."""
        return any(
            _count(self.store.canaries.by_chunk(stream, version)) >= self.settings.canary_triplets
            for stream in self._streams(version.model)
        )

    def _counts(self, stream: str) -> bool:
        """Return whether footage of a stream counts: it is known, and its camera is as golden or a condition."""
        return self.store.streams.is_known(stream) and not any(
            incident.state is IncidentState.FAILING and incident.cause is not Cause.MODEL_DECAY
            for incident in self.store.streams.open_incidents(stream)
        )

    def _streams(self, model: str) -> list[str]:
        return [name for name in self.store.streams.names() if model_of(self.settings, name) == model]


def _flat(by_chunk: Mapping[str, Sequence[float]]) -> list[float]:
    return [value for values in by_chunk.values() for value in values]


def _count(by_chunk: Mapping[str, Sequence[float]]) -> int:
    return sum(map(len, by_chunk.values()))
