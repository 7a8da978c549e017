"""What a person and the model do while processes are killed: drift, healing, acceptance, undoing, rollback, release."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import redis

from common.contracts.golden import GoldenChange
from common.models.names import DEFAULT_MODEL
from common.store import Store
from tests.chaos.world import ACTING_STREAMS, Feeder

_STEP_SECONDS = 90.0  # for a step to come about; then the next one is tried
_COMMAND_SECONDS = 120.0  # a command that hangs, as where Redis dies under it, is killed and said again


@dataclass(frozen=True)
class Goals:
    """How much has to be done among the kills at least. `conditions`: promotions, or proofs that add a condition."""

    conditions: int = 5
    acceptances: int = 5
    rollbacks: int = 1
    releases: int = 1

    @classmethod
    def within(cls, seconds: float) -> Goals:
        """Return the goals of a run of so many seconds: those of ten minutes, or their share."""
        share = min(1.0, seconds / 600)
        return cls(*(int(count * share) for count in (cls.conditions, cls.acceptances, cls.rollbacks, cls.releases)))


@dataclass
class Actor:
    """Lets streams drift, waits for the model to be proved on them, and says a person's words; in a thread.

    Attributes
    ----------
    done : conditions that were added, acceptances, undoings, rollbacks, choices by hand, and releases
    """

    store: Store
    feeder: Feeder
    environment: Mapping[str, str]
    goals: Goals
    stop: threading.Event = field(default_factory=threading.Event)
    done: Counter[str] = field(default_factory=Counter)

    def run(self) -> None:
        """Go round the streams until `stop` is set; a round that was begun is ended if
        the goals want it.

        All of them drift at once: a retraining that is killed is called again only after a minute.
        """
        seen = set[str]()
        while not self.stop.is_set():
            for stream in ACTING_STREAMS:
                self.feeder.drift(stream)
            for stream in ACTING_STREAMS:
                if self.stop.is_set() and self.reached:
                    return
                self._decide(stream, seen)

    @property
    def reached(self) -> bool:
        """Whether enough was done."""
        goals = self.goals
        wanted = {
            "conditions": goals.conditions,
            "acceptances": goals.acceptances,
            "rollbacks": goals.rollbacks,
            "releases": goals.releases,
        }
        return all(self.done[name] >= count for name, count in wanted.items())

    def _decide(self, stream: str, seen: set[str]) -> None:
        """Wait until the stream's footage failed and became a condition, accept it, and take that back."""
        if not self._wait(lambda: any(i.windows for i in self.store.streams.open_incidents(stream))):
            return
        if self._wait(lambda: bool(set(self._conditions(stream)) - seen), enough=self.goals.conditions > 0):
            fresh = set(self._conditions(stream)) - seen
            seen |= fresh
            self.done["conditions"] += len(fresh)
        if self.done["conditions"] > 0 and self.done["rollbacks"] < max(1, self.goals.rollbacks):
            self._roll_back()
        if self._say(lambda: self._count(stream, GoldenChange.ACCEPTED), "streams", "accept", stream, "--yes"):
            self.done["acceptances"] += 1
            if self._say(lambda: self._count(stream, GoldenChange.UNDONE), "streams", "undo", stream):
                self.done["undoings"] += 1

    def _roll_back(self) -> None:
        """Go a version back and release; where there is none to go back to yet, choose the first one once, by hand."""
        if self._choose("rolled back", "rollback", DEFAULT_MODEL):
            self.done["rollbacks"] += 1
        elif not self.done["chosen by hand"] and self._choose("by hand", "promote", DEFAULT_MODEL, "1"):
            self.done["chosen by hand"] += 1

    def _choose(self, why: str, *words: str) -> bool:
        """Choose a version, which holds the model, and release it."""

        def chosen() -> int:
            return sum(why in record.reason for record in self.store.champions.history(DEFAULT_MODEL))

        def free() -> int:
            return int(self.store.champions.held(DEFAULT_MODEL) is None)

        if not self._say(chosen, "champions", *words, tries=3):
            return False
        self.done["releases"] += self._say(free, "champions", "release", DEFAULT_MODEL)
        return True

    # --- what is there

    def _conditions(self, stream: str) -> Iterator[str]:
        champion = self.store.champions.champion(DEFAULT_MODEL)
        return iter([row.id for row in champion.conditions if row.stream == stream] if champion else [])

    def _count(self, stream: str, change: GoldenChange) -> int:
        return sum(record.change is change for record in self.store.golden.history(stream))

    # --- saying and waiting

    def _say(self, count: Callable[[], int], *words: str, tries: int = 20) -> bool:
        """Run a command until what it does has been done once: an answer may be lost where Redis is killed."""
        before = self._ask(count)
        for _ in range(tries):
            done = self._run(words)
            if self._ask(count) > before:
                return True
            if done:
                return False
            time.sleep(1.0)
        return False

    def _run(self, words: Sequence[str]) -> bool:
        """Run a command; return whether it said that it is done."""
        command = [sys.executable, "-m", "sentinel", *words]
        try:
            finished = subprocess.run(
                command, env={**self.environment}, capture_output=True, timeout=_COMMAND_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return False
        return finished.returncode == 0

    def _wait(self, true: Callable[[], bool], *, enough: bool = True) -> bool:
        deadline = time.monotonic() + (_STEP_SECONDS if enough else 0.0)
        while not self._ask(true):
            if time.monotonic() > deadline or (self.stop.is_set() and self.reached):
                return False
            time.sleep(0.5)
        return True

    def _ask(self, question: Callable[[], int]) -> int:
        while True:
            try:
                return question()
            except redis.RedisError:
                time.sleep(0.5)
