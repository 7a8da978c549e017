"""Champions and their history, holds, streams that wait for a retraining, and the lease to retrain a model."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Literal

import redis

from common.contracts.events import Event
from common.contracts.incidents import IncidentNote
from common.contracts.models import ChampionRecord, Hold
from common.store import keys
from common.store.client import load_script, text
from common.store.lease import hold_lease

_LONGEST_COOLDOWN_SECONDS = 86_400.0
_LONGEST_MEMORY_SECONDS = 1e9  # decades: Redis refuses to expire a key after more than it can count

Outcome = Literal["promoted", "rejected", "idle"]
"""How a retraining ended for one stream: something of it was healed, an attempt was made in vain, or neither."""


class ChampionStore:
    """Champions, their history, and the retrainings that are due.

    Parameters
    ----------
    client : Redis
    cooldown : seconds from the first confirmed FAIL of a burst to the retraining
    max_events : most entries of `sentinel:events`, to which promotions are written
    """

    def __init__(self, client: redis.Redis, *, cooldown: float, max_events: int) -> None:
        self.client = client
        self._cooldown = cooldown
        self._max_events = max_events
        self._promote = load_script(client, "promote")
        self._amend = load_script(client, "amend")
        self._note = load_script(client, "note_waiting")
        self._take = load_script(client, "take_due")
        self._settle = load_script(client, "settle_waiting")

    # --- champions

    def champion(self, model: str) -> ChampionRecord | None:
        data = self.client.get(keys.model_key(model, "champion"))
        return ChampionRecord.from_json(data) if data else None

    def history(self, model: str) -> list[ChampionRecord]:
        """Return all versions, oldest first; the last one is the champion."""
        return [ChampionRecord.from_json(row) for row in self.client.lrange(keys.model_key(model, "history"), 0, -1)]

    def models(self) -> list[str]:
        return self._models_with("champion")

    def _models_with(self, part: str) -> list[str]:
        prefix, suffix = keys.model_key("*", part).split("*")
        found = self.client.scan_iter(match=keys.model_key("*", part), count=500)
        return sorted(text(key)[len(prefix) : -len(suffix)] for key in found)

    def promote(
        self,
        record: ChampionRecord,
        *,
        over: ChampionRecord | int,
        announce: Sequence[Event] = (),
        notes: Sequence[IncidentNote] = (),
        hold: Hold | None = None,
    ) -> bool:
        """Make `record` the champion if the champion is still `over` (compare-and-set).

        Parameters
        ----------
        record : the new champion
        over : champion that `record` was compared with, whose conditions must not have changed either; or only its
            version, 0: there is no champion
        announce : events written in the same step
        notes : left in their streams' inboxes in the same step
        hold : hold written in the same step, if a person chose the record

        Returns
        -------
        Whether it became the champion; False if another promotion came first.
        """
        model = record.model
        champion = keys.model_key(model, "champion")
        stored: bytes | str = ""
        if isinstance(over, ChampionRecord):
            stored = self.client.get(champion) or ""
            # `record` stands there already if an earlier answer was lost; the script knows it again.
            if not stored or ChampionRecord.from_json(stored) not in (over, record):
                return False
        inboxes = [keys.stream_key(note.stream, "inbox") for note in notes]
        left = [{"stream": note.stream, "note": note.to_json()} for note in notes]
        return bool(
            self._promote(
                keys=[champion, keys.model_key(model, "history"), keys.EVENTS, keys.HELD, keys.STREAMS, *inboxes],
                args=[
                    _version(over), stored, record.to_json(), model, hold.to_json() if hold else "", self._max_events,
                    json.dumps(_fields(announce)), json.dumps(left),
                ],
            )
        )  # fmt: skip

    def amend(self, model: str, change: Callable[[ChampionRecord], tuple[ChampionRecord, Sequence[Event]]]) -> None:
        """Change the conditions in the champion's record, and announce the events of the change in the same step.

        Parameters
        ----------
        change : returns the new record, of the same version, and the events; called again if the champion changed
            meanwhile
        """
        champion = keys.model_key(model, "champion")
        while (stored := self.client.get(champion)) is not None:
            before = ChampionRecord.from_json(stored)
            after, events = change(before)
            if after == before:
                return
            if self._amend(
                keys=[champion, keys.model_key(model, "history"), keys.EVENTS],
                args=[stored, after.to_json(), self._max_events, json.dumps(_fields(events))],
            ):
                return

    # --- holds

    def held(self, model: str) -> Hold | None:
        """Return the hold that suspends retraining of `model`, or None."""
        data = self.client.hget(keys.HELD, model)
        return Hold.from_json(data) if data else None

    def release(self, model: str) -> bool:
        """Remove the hold of `model`; return False if there was none."""
        return bool(self.client.hdel(keys.HELD, model))

    # --- streams that wait

    def note_waiting(self, model: str, stream: str) -> bool:
        """Add a stream to those that wait for a retraining of the model; return False if it waits already.

        It is due after a cool-down, or with what is due before that. Each rejection in a row doubles its own wait, up
        to a day, and no other stream's.
        """
        args: list[str | float] = [model, stream, time.time(), self._cooldown, _LONGEST_COOLDOWN_SECONDS]
        return bool(self._note(keys=self._waiting_keys(model), args=args))

    def take_due(self, *, again_after: float) -> list[str]:
        """Return the models whose cool-down is over and that are not held, and mark each as called.

        A model is returned again after `again_after` seconds unless its streams have been settled.
        """
        due_keys = [keys.DUE, keys.CALLED, keys.HELD]
        return [text(model) for model in self._take(keys=due_keys, args=[time.time(), again_after])]

    def accept_call(self, model: str) -> float | None:
        """Consume the mark that `take_due` set for `model`; return when, seconds since the epoch, None: there is none.

        Call it while holding the lease. A task alone does not prove that a model is due, because every client of
        the queue can send one; the mark does, and can be used once.
        """
        pipe = self.client.pipeline()
        pipe.hget(keys.CALLED, model)
        pipe.hdel(keys.CALLED, model)
        called_at = pipe.execute()[0]
        return None if called_at is None else float(called_at)

    def due_at(self, model: str) -> float | None:
        """Return when the model's next retraining may start, seconds since the epoch; None if no stream waits."""
        score: float | None = self.client.zscore(keys.DUE, model)
        return score

    def waiting(self, model: str) -> list[str]:
        """Return the streams that wait, in the order in which they were first noted."""
        return list(self.noted(model))

    def noted(self, model: str, *, due_by: float = float("inf")) -> dict[str, float]:
        """Return stream -> when it was noted last, seconds since the epoch, in the order in which they were noted.

        Parameters
        ----------
        due_by : only streams whose own wait is over by then, seconds since the epoch
        """
        rows = self.client.hgetall(keys.model_key(model, "waiting"))
        found = []
        for stream, value in rows.items():
            first, last, due = (float(at) for at in text(value).split("|"))
            if due <= due_by:
                found.append((first, text(stream), last))
        return {stream: last for _, stream, last in sorted(found)}

    def waiting_count(self, model: str) -> int:
        """Return the number of streams that wait."""
        return int(self.client.hlen(keys.model_key(model, "waiting")))

    def settle(
        self, model: str, outcomes: Mapping[str, Outcome], *, ended: bool = True, noted_by: float = float("inf")
    ) -> int:
        """Remove streams that a retraining has dealt with; return how many still wait.

        Parameters
        ----------
        outcomes : how it ended for each stream; streams that are not named wait on as they did
        ended : whether a retraining came to an end, after which the cool-down begins anew; False: none ran
        noted_by : streams that were noted again after this, while it ran, wait anew; seconds since the epoch
        """
        remembered = int(min(2 * max(self._cooldown, _LONGEST_COOLDOWN_SECONDS), _LONGEST_MEMORY_SECONDS))
        args: list[str | float] = [model, time.time(), self._cooldown, _LONGEST_COOLDOWN_SECONDS, remembered]
        args += [int(ended), noted_by, *(part for pair in outcomes.items() for part in pair)]
        settle_keys = [*self._waiting_keys(model), keys.model_key(model, "attempts"), keys.CALLED]
        return int(self._settle(keys=settle_keys, args=args))

    def forget(self, stream: str) -> None:
        """Forget that `stream` waits for a retraining of any model, and its rejections."""
        for model in self._models_with("waiting"):
            if self.client.hexists(keys.model_key(model, "waiting"), stream):
                self.settle(model, {stream: "idle"}, ended=False)
        # Last: a retraining that ends now counts no rejection of a stream that does not wait.
        for model in self._models_with("rejected"):
            self.client.hdel(keys.model_key(model, "rejected"), stream)

    def begin(self, model: str) -> int:
        """Count the start of a retraining; return the number of starts since a retraining last ended."""
        pipe = self.client.pipeline()
        pipe.incr(keys.model_key(model, "attempts"))
        pipe.expire(keys.model_key(model, "attempts"), int(_LONGEST_COOLDOWN_SECONDS))
        return int(pipe.execute()[0])

    def count_decision(self, model: str) -> int:
        """Count a decision of the gate about `model`; return its number, from 1, which no other decision has."""
        return int(self.client.incr(keys.model_key(model, "decisions")))

    def decisions(self, model: str) -> int:
        """Return how many decisions of the gate about `model` were counted."""
        return int(self.client.get(keys.model_key(model, "decisions")) or 0)

    # --- folders that a retraining makes

    def begin_folder(self, model: str, name: str) -> None:
        """Note that a folder of this name is made for `model`: whoever finds it unfinished may remove it."""
        self.client.sadd(keys.model_key(model, "making"), name)

    def folders_begun(self, model: str) -> set[str]:
        """Return the names of the folders that were begun for `model` and have not been settled."""
        return {text(name) for name in self.client.smembers(keys.model_key(model, "making"))}

    def settle_folders(self, model: str, names: Collection[str]) -> None:
        """Note that folders are whole and wanted, or gone."""
        if names:
            self.client.srem(keys.model_key(model, "making"), *names)

    def _waiting_keys(self, model: str) -> list[str]:
        return [keys.model_key(model, "waiting"), keys.DUE, keys.model_key(model, "rejected")]

    # --- one retraining per model

    def lease(self, model: str) -> AbstractContextManager[bool]:
        """Hold the lease to retrain `model` while the block runs; see `hold_lease`."""
        return hold_lease(self.client, self._lease_key(model))

    def is_leased(self, model: str) -> bool:
        """Return whether a retraining of `model` is running."""
        return bool(self.client.exists(self._lease_key(model)))

    def _lease_key(self, model: str) -> str:
        return keys.model_key(model, "lease")


def _fields(events: Sequence[Event]) -> list[list[str]]:
    """Return the events as flat lists of names and values."""
    return [[item for pair in event.to_fields().items() for item in pair] for event in events]


def _version(over: ChampionRecord | int) -> int:
    return over.version if isinstance(over, ChampionRecord) else over
