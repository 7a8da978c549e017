"""The canary: after a promotion the version before it runs beside the champion, and comes back if that is worse.

The gate decides on footage that it has. What comes later may be other, so on live examples of each stream both versions
are scored, and a bettor stakes on the version before: its wealth grows while it is better by more than a promotion may
lose. All streams of a model share one error, so the more there are the more each has to show. The champion that turned
out worse is rolled back, with the conditions that only it was proved on, and the model is held: the same footage would
lead to the same challenger, so a person has to look.
"""

from __future__ import annotations

from collections.abc import Sequence

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

    def is_on(self, stream: str, champion: ChampionRecord, chunk: str) -> bool:
        """Return whether a chunk of a stream is to be compared: there are not enough examples yet, and it is new."""
        most = self.settings.canary_triplets
        if most == 0 or self.before(champion) is None:
            return False
        canaries = self.store.canaries
        enough = len(canaries.differences(stream, champion.version)) >= most
        return not enough and chunk not in canaries.chunks(stream, champion.version)

    def before(self, champion: ChampionRecord) -> ChampionRecord | None:
        """Return the version that a champion is compared with; None: none, or it is no longer champion."""
        if champion.decision is None:
            return None
        history = self.store.champions.history(champion.model)
        return compared_with(history) if history and history[-1].version == champion.version else None

    def turned_worse(self, champion: ChampionRecord) -> list[str]:
        """Return for each stream on which the champion is surely worse than the version before it the figures."""
        streams = [name for name in self.store.streams.names() if model_of(self.settings, name) == champion.model]
        found = []
        for stream in streams:
            bets = bets_on(self.store.canaries.differences(stream, champion.version), len(streams), self.settings)
            if bets.finding is Finding.ABOVE:
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
        return roll_back_worse(self.store, model, before.version, reason, prove)
