"""Who is champion, who was, and which FAILs wait for a retraining."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event as Flag
from threading import Thread
from typing import Literal

import redis

from common.contracts.events import Event
from common.contracts.ids import content_id
from common.contracts.models import ChampionRecord
from common.contracts.verdicts import Verdict
from common.store import keys
from common.store.client import load_script, text

_LEASE_SECONDS = 20.0
_RENEW_SECONDS = 5.0  # three renewals may fail before somebody else may take over
_LONGEST_COOLDOWN_SECONDS = 86_400.0
_MOST_WAITING_FAILS = 2_000  # a model's waiting list is bounded; later FAILs of the same burst add nothing new

Outcome = Literal["promoted", "rejected", "stale"]


class ChampionStore:
    """Champions, their history, and the retrainings that are asked for."""

    def __init__(self, client: redis.Redis, *, cooldown: float, max_events: int) -> None:
        self.client = client
        self._cooldown = cooldown
        self._max_events = max_events
        self._promote = load_script(client, "promote")
        self._note = load_script(client, "note_fail")
        self._take = load_script(client, "take_due")
        self._settle = load_script(client, "settle_fails")
        self._lease = load_script(client, "release_lease")

    def champion(self, model: str) -> ChampionRecord | None:
        data = self.client.get(keys.model_key(model, "champion"))
        return ChampionRecord.from_json(data) if data else None

    def history(self, model: str) -> list[ChampionRecord]:
        """Return every version there ever was, oldest first."""
        return [ChampionRecord.from_json(row) for row in self.client.lrange(keys.model_key(model, "history"), 0, -1)]

    def models(self) -> list[str]:
        prefix, suffix = keys.model_key("*", "champion").split("*")
        found = self.client.scan_iter(match=keys.model_key("*", "champion"), count=500)
        return sorted(text(key)[len(prefix) : -len(suffix)] for key in found)

    def promote(self, record: ChampionRecord, *, over: int, announce: Event | None) -> bool:
        """Make `record` the champion if version `over` still is (0: none is); False if it was beaten to it."""
        fields = [item for pair in announce.to_fields().items() for item in pair] if announce else []
        return bool(
            self._promote(
                keys=[keys.model_key(record.model, "champion"), keys.model_key(record.model, "history"), keys.EVENTS],
                args=[over, record.to_json(), self._max_events, int(announce is not None), *fields],
            )
        )

    # --- FAILs that wait

    def note_fail(self, model: str, event_id: str, verdict: Verdict) -> bool:
        """Let a FAIL wait for the model's next retraining; False if it waits already.

        One that is not confirmed waits aside, with the others of its run, until one of them is.
        """
        args: list[str | float] = [model, event_id, verdict.to_json(), time.time(), self._cooldown]
        args += [_LONGEST_COOLDOWN_SECONDS, _MOST_WAITING_FAILS, int(verdict.confirmed)]
        args += [f"{verdict.baseline_id}@{verdict.failing_since}", int(_LONGEST_COOLDOWN_SECONDS)]
        run = keys.model_key(model, f"run:{content_id(verdict.stream)}")
        return bool(self._note(keys=[*self._fail_keys(model), run], args=args))

    def take_due(self, *, again_after: float) -> list[str]:
        """Return the models whose cool-down is over; each again after `again_after` seconds unless settled."""
        return [text(model) for model in self._take(keys=[keys.DUE], args=[time.time(), again_after])]

    def due_at(self, model: str) -> float | None:
        """When the model's next retraining may start, in seconds since the epoch."""
        score: float | None = self.client.zscore(keys.DUE, model)
        return score

    def waiting(self, model: str) -> dict[str, Verdict]:
        """Return the FAILs that wait, by event id."""
        rows = self.client.hgetall(keys.model_key(model, "fails"))
        return {text(event_id): Verdict.from_json(data) for event_id, data in rows.items()}

    def settle(self, model: str, event_ids: Sequence[str], outcome: Outcome) -> int:
        """Strike FAILs off the waiting list; return how many still wait."""
        args: list[str | float] = [model, time.time(), self._cooldown, outcome, _LONGEST_COOLDOWN_SECONDS, *event_ids]
        return int(self._settle(keys=[*self._fail_keys(model), keys.model_key(model, "attempts")], args=args))

    def begin(self, model: str) -> int:
        """Count that a retraining begins; return how many have since one last came to an end."""
        pipe = self.client.pipeline()
        pipe.incr(keys.model_key(model, "attempts"))
        pipe.expire(keys.model_key(model, "attempts"), int(_LONGEST_COOLDOWN_SECONDS))
        return int(pipe.execute()[0])

    def _fail_keys(self, model: str) -> list[str]:
        return [keys.model_key(model, "fails"), keys.DUE, keys.model_key(model, "rejections")]

    @contextmanager
    def lease(self, model: str) -> Iterator[bool]:
        """Hold the right to retrain `model`, renewed while the block runs; yields False if another holds it."""
        key, token = keys.model_key(model, "lease"), secrets.token_hex(16)
        if not self.client.set(key, token, nx=True, px=int(_LEASE_SECONDS * 1000)):
            yield False
            return
        done = Flag()
        renewal = Thread(target=self._renew, args=(key, token, done), name=f"lease-{model}", daemon=True)
        renewal.start()
        try:
            yield True
        finally:
            done.set()
            renewal.join()
            self._lease(keys=[key], args=[token, 0])

    def _renew(self, key: str, token: str, done: Flag) -> None:
        while not done.wait(_RENEW_SECONDS):
            try:
                self._lease(keys=[key], args=[token, int(_LEASE_SECONDS * 1000)])
            except redis.RedisError:
                continue  # the next renewal may get through; promotion is a compare-and-set in any case
