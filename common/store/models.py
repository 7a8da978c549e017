"""Champions and their history, holds, FAILs that wait for a retraining, and the lease to retrain a model."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Event as Flag
from threading import Thread
from typing import Literal

import redis
from redis.exceptions import LockNotOwnedError
from redis.lock import Lock

from common.contracts.events import Event
from common.contracts.ids import content_id
from common.contracts.models import ChampionRecord, Hold
from common.contracts.verdicts import Verdict
from common.store import keys
from common.store.client import load_script, text

_LEASE_SECONDS = 20.0
_RENEW_SECONDS = 5.0  # three renewals may fail before the lease expires
_LONGEST_COOLDOWN_SECONDS = 86_400.0
_MOST_WAITING_FAILS = 2_000  # of one model; more from the same burst add nothing new

Outcome = Literal["promoted", "rejected", "stale"]


class ChampionStore:
    """Champions, their history, and the retrainings that are due.

    Parameters
    ----------
    client : Redis
    cooldown : seconds from the first FAIL of a burst to the retraining
    max_events : most entries of `sentinel:events`, to which promotions are written
    """

    def __init__(self, client: redis.Redis, *, cooldown: float, max_events: int) -> None:
        self.client = client
        self._cooldown = cooldown
        self._max_events = max_events
        self._promote = load_script(client, "promote")
        self._note = load_script(client, "note_fail")
        self._take = load_script(client, "take_due")
        self._settle = load_script(client, "settle_fails")

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

    def promote(self, record: ChampionRecord, *, over: int, announce: Event | None, hold: Hold | None = None) -> bool:
        """Make `record` the champion if the champion still has version `over` (compare-and-set).

        Parameters
        ----------
        record : the new champion
        over : version that `record` was compared with; 0: there is no champion
        announce : event written in the same step; None: no event
        hold : hold written in the same step, if a person chose the record

        Returns
        -------
        Whether it became the champion; False if another promotion came first.
        """
        fields = [item for pair in announce.to_fields().items() for item in pair] if announce else []
        model = record.model
        return bool(
            self._promote(
                keys=[keys.model_key(model, "champion"), keys.model_key(model, "history"), keys.EVENTS, keys.HELD],
                args=[over, record.to_json(), model, hold.to_json() if hold else "", self._max_events, *fields],
            )
        )

    # --- holds

    def held(self, model: str) -> Hold | None:
        """Return the hold that suspends retraining of `model`, or None."""
        data = self.client.hget(keys.HELD, model)
        return Hold.from_json(data) if data else None

    def release(self, model: str) -> bool:
        """Remove the hold of `model`; return False if there was none."""
        return bool(self.client.hdel(keys.HELD, model))

    # --- FAILs that wait

    def note_fail(self, model: str, event_id: str, verdict: Verdict) -> bool:
        """Add a FAIL to those that wait for the model's next retraining; return False if it waits already.

        An unconfirmed FAIL is stored with the others of its run until one of them is confirmed. At most
        `_MOST_WAITING_FAILS` are kept, the latest ones.
        """
        args: list[str | float] = [model, event_id, verdict.to_json(), time.time(), self._cooldown]
        args += [_LONGEST_COOLDOWN_SECONDS, _MOST_WAITING_FAILS, int(verdict.confirmed)]
        args += [f"{verdict.baseline_id}@{verdict.failing_since}", int(_LONGEST_COOLDOWN_SECONDS)]
        run = keys.model_key(model, f"run:{content_id(verdict.stream)}")
        return bool(self._note(keys=[*self._fail_keys(model), run], args=args))

    def take_due(self, *, again_after: float) -> list[str]:
        """Return the models whose cool-down is over and that are not held, and mark each as called.

        A model is returned again after `again_after` seconds unless its FAILs have been settled.
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
        """Return when the model's next retraining may start, seconds since the epoch; None if no FAIL waits."""
        score: float | None = self.client.zscore(keys.DUE, model)
        return score

    def waiting(self, model: str) -> dict[str, Verdict]:
        """Return event id -> verdict of the FAILs that wait."""
        rows = self.client.hgetall(keys.model_key(model, "fails"))
        return {text(event_id): Verdict.from_json(data) for event_id, data in rows.items()}

    def waiting_count(self, model: str) -> int:
        """Return the number of FAILs that wait."""
        return int(self.client.hlen(keys.model_key(model, "fails")))

    def settle(self, model: str, event_ids: Sequence[str], outcome: Outcome) -> int:
        """Remove FAILs that a retraining has processed; return how many still wait."""
        args: list[str | float] = [model, time.time(), self._cooldown, outcome, _LONGEST_COOLDOWN_SECONDS, *event_ids]
        settle_keys = [*self._fail_keys(model), keys.model_key(model, "attempts"), keys.CALLED]
        return int(self._settle(keys=settle_keys, args=args))

    def begin(self, model: str) -> int:
        """Count the start of a retraining; return the number of starts since a retraining last ended."""
        pipe = self.client.pipeline()
        pipe.incr(keys.model_key(model, "attempts"))
        pipe.expire(keys.model_key(model, "attempts"), int(_LONGEST_COOLDOWN_SECONDS))
        return int(pipe.execute()[0])

    def _fail_keys(self, model: str) -> list[str]:
        parts = [keys.model_key(model, part) for part in ("fails", "rejections", "order")]
        return [parts[0], keys.DUE, *parts[1:]]

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


def _renew(lock: Lock, done: Flag) -> None:
    while not done.wait(_RENEW_SECONDS):
        try:
            lock.reacquire()
        except redis.RedisError:
            continue  # the next renewal may succeed; promotion is a compare-and-set in any case
