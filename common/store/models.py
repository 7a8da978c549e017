"""Champions and their history, holds, streams that wait for a retraining, and the lease to retrain a model."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Event as Flag
from threading import Thread
from typing import Literal

import redis
from redis.exceptions import LockNotOwnedError
from redis.lock import Lock

from common.contracts.events import Event
from common.contracts.incidents import IncidentNote
from common.contracts.models import ChampionRecord, Hold
from common.store import keys
from common.store.client import load_script, text

_LEASE_SECONDS = 20.0
_RENEW_SECONDS = 5.0  # three renewals may fail before the lease expires
_LONGEST_COOLDOWN_SECONDS = 86_400.0

Outcome = Literal["promoted", "rejected", "idle", "stale"]
"""How a retraining ended: with something healed, with nothing healed, or with nothing to do. `stale`: none ran, and the
streams no longer wait for another reason."""


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
        prefix, suffix = keys.model_key("*", "champion").split("*")
        found = self.client.scan_iter(match=keys.model_key("*", "champion"), count=500)
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
        """Add a stream to those that wait for the model's next retraining; return False if it waits already."""
        args: list[str | float] = [model, stream, time.time(), self._cooldown, _LONGEST_COOLDOWN_SECONDS]
        return bool(self._note(keys=self._waiting_keys(model), args=args))

    def take_due(self, *, again_after: float) -> list[str]:
        """Return the models whose cool-down is over and that are not held, and mark each as called.

        A model is returned again after `again_after` seconds unless its streams have been settled.
        """
        due_keys = [keys.DUE, keys.CALLED, keys.HELD]
        return [text(model) for model in self._take(keys=due_keys, args=[time.time(), again_after])]

    def accept_call(self, model: str) -> bool:
        """Consume the mark that `take_due` set for `model`; return whether there was one.

        Call it while holding the lease. A task alone does not prove that a model is due, because every client of
        the queue can send one; the mark does, and can be used once.
        """
        return bool(self.client.hdel(keys.CALLED, model))

    def due_at(self, model: str) -> float | None:
        """Return when the model's next retraining may start, seconds since the epoch; None if no stream waits."""
        score: float | None = self.client.zscore(keys.DUE, model)
        return score

    def waiting(self, model: str) -> list[str]:
        """Return the streams that wait, in the order in which they were first noted."""
        return list(self.noted(model))

    def noted(self, model: str) -> dict[str, float]:
        """Return stream -> when it was noted last, seconds since the epoch, in the order in which they were noted."""
        rows = self.client.hgetall(keys.model_key(model, "waiting"))
        times = {text(stream): [float(at) for at in text(value).split("|")] for stream, value in rows.items()}
        return {stream: times[stream][-1] for stream in sorted(times, key=lambda stream: (times[stream][0], stream))}

    def waiting_count(self, model: str) -> int:
        """Return the number of streams that wait."""
        return int(self.client.hlen(keys.model_key(model, "waiting")))

    def settle(self, model: str, streams: Sequence[str], outcome: Outcome, *, noted_by: float = float("inf")) -> int:
        """Remove streams that a retraining has dealt with; return how many still wait.

        Streams that were noted again after `noted_by`, while it ran, wait on.
        """
        args: list[str | float] = [model, time.time(), self._cooldown, outcome, _LONGEST_COOLDOWN_SECONDS, noted_by]
        args += streams
        settle_keys = [*self._waiting_keys(model), keys.model_key(model, "attempts"), keys.CALLED]
        return int(self._settle(keys=settle_keys, args=args))

    def begin(self, model: str) -> int:
        """Count the start of a retraining; return the number of starts since a retraining last ended."""
        pipe = self.client.pipeline()
        pipe.incr(keys.model_key(model, "attempts"))
        pipe.expire(keys.model_key(model, "attempts"), int(_LONGEST_COOLDOWN_SECONDS))
        return int(pipe.execute()[0])

    def _waiting_keys(self, model: str) -> list[str]:
        return [keys.model_key(model, "waiting"), keys.DUE, keys.model_key(model, "rejections")]

    # --- one retraining per model

    @contextmanager
    def lease(self, model: str) -> Iterator[bool]:
        """Hold the lease to retrain `model` while the block runs; yields False if another process holds it.

        The lease is renewed in a thread. If the process is killed, it expires after `_LEASE_SECONDS`.
        """
        # Another thread renews the lock, so its token must not be thread-local.
        lock = self.client.lock(self._lease_key(model), timeout=_LEASE_SECONDS, blocking=False, thread_local=False)
        if not lock.acquire():
            yield False
            return
        done = Flag()
        renewal = Thread(target=_renew, args=(lock, done), name=f"lease-{model}", daemon=True)
        renewal.start()
        try:
            yield True
        finally:
            done.set()
            renewal.join()
            with suppress(LockNotOwnedError):  # it expired while Redis was unavailable, and another may hold it
                lock.release()

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


def _renew(lock: Lock, done: Flag) -> None:
    while not done.wait(_RENEW_SECONDS):
        try:
            lock.reacquire()
        except redis.RedisError:
            continue  # the next renewal may succeed; promotion is a compare-and-set in any case
