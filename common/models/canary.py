"""The canary: after a promotion the version before it runs beside the champion, and comes back if that is worse.

The gate decides on footage that it has. What comes later may be other, so on live examples of each stream both versions
are scored, and a bettor stakes on the version before: its wealth grows while it is better by more than a promotion may
lose. All streams of a model share one error, so the more there are the more each has to show. The champion that turned
out worse is rolled back, with the conditions that only it was proved on, and the model is held: the same footage would
lead to the same challenger, so a person has to look.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from common.contracts.conditions import ConditionRecord
from common.contracts.models import ChampionRecord
from common.models.betting import Bets, Finding, bet
from common.models.registry import Proof, roll_back_worse
from common.settings import Settings
from common.store import Store
from common.stream_config import model_of

_ERROR = 0.05  # probability of ever rolling back a champion that loses no more than a promotion may, of one promotion
_BLOCK = 5  # live examples of a stream are apart from each other, so smaller blocks than the gate's will do


def compared_with(history: Sequence[ChampionRecord]) -> ChampionRecord | None:
    """Return the version that the champion is compared with on live footage; None: it was not promoted by the gate.

    Parameters
    ----------
    history : every version of one model, oldest first; at least one
    """
    champion, earlier = history[-1], history[:-1]
    # A version that a rollback or a person brought back keeps the decision that once promoted it.
    if champion.decision is None or any(row.model_digest == champion.model_digest for row in earlier):
        return None
    before = next((row for row in earlier if row.version == champion.parent), None)
    return before if before is not None and before.model_digest is not None else None


def bets_on(differences: Sequence[float], streams: int, settings: Settings) -> Bets:
    """Return the bets on whether the version before is better on a stream than a promotion may lose.

    Parameters
    ----------
    differences : of the version before and the champion on each live example, dB
    streams : of the model
    """
    error = _ERROR / max(streams, 1)
    return bet(np.array(differences, np.float32), settings.promote_max_loss_db, error=error, block=_BLOCK)


class Canary:
    """Compares the champion of a model with the version before it, on what its streams show."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self.store = store
        self.settings = settings

    def note(
        self,
        stream: str,
        champion: ChampionRecord,
        chunk: str,
        differences: Callable[[ChampionRecord], Sequence[float]],
    ) -> bool:
        """Compare the champion with the version before it on a chunk, if there are not enough live examples yet.

        Parameters
        ----------
        chunk : its id; one that comes again counts once
        differences : of a version and the champion on each example of the chunk, dB

        Returns
        -------
        Whether the champion is surely worse on the stream.
        """
        most = self.settings.canary_triplets
        before = self.before(champion) if most > 0 else None
        if before is None:
            return False
        known = self.store.canaries.by_chunk(stream, champion.version)
        if chunk in known or sum(map(len, known.values())) >= most:
            return False
        fresh = list(differences(before))
        self.store.canaries.add(stream, champion.version, chunk, fresh)
        bets = bets_on([*_flat(known), *fresh], len(self._streams(champion.model)), self.settings)
        return bets.finding is Finding.ABOVE

    def before(self, champion: ChampionRecord) -> ChampionRecord | None:
        """Return the version that a champion is compared with; None: none, or it is no longer champion."""
        if champion.decision is None:
            return None
        history = self.store.champions.history(champion.model)
        return compared_with(history) if history and history[-1].version == champion.version else None

    def turned_worse(self, champion: ChampionRecord) -> list[str]:
        """Return for each stream on which the champion is surely worse than the version before it the figures."""
        streams = self._streams(champion.model)
        found = []
        for stream in streams:
            known = self.store.canaries.by_chunk(stream, champion.version)
            bets = bets_on(_flat(known), len(streams), self.settings)
            if bets.finding is Finding.ABOVE:
                found.append(f"{bets.mean_db:.2f} dB on {bets.examples} live examples of stream {stream}")
        return found

    def _streams(self, model: str) -> list[str]:
        return [name for name in self.store.streams.names() if model_of(self.settings, name) == model]

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
        return roll_back_worse(self.store, model, before.version, reason, prove)


def _flat(by_chunk: Mapping[str, Sequence[float]]) -> list[float]:
    return [value for values in by_chunk.values() for value in values]
