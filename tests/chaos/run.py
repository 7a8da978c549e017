"""Kill, double, poison, and count: `python -m tests.chaos.run --minutes 10 --seed 1`, or `make chaos`.

The real stack runs as `sentinel up` in a process of its own, with a second
watcher, camera-events, retrain trigger and beat. While footage is fed in, processes of the
stack are killed with SIGKILL, Redis among them. Frames also come over HTTP, from object
storage, over MQTT and from a live camera, whose processes are killed likewise (`ways`).
When the feeding ends, the killing ends, and what Redis says must equal what was fed.
Meanwhile streams drift and are healed, and a person accepts, takes back, rolls back and
releases (`acting`).
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import redis

from common.drift.windows import WindowRule
from common.models.names import DEFAULT_MODEL
from common.settings import Settings
from common.store import Store, keys
from sentinel.stack.info import StackInfo, read_info
from tests.chaos.acting import Actor, Goals
from tests.chaos.counting import complete_batches, count_rows, verdict_count
from tests.chaos.decisions import champion_rows, golden_rows, incident_rows, unended
from tests.chaos.played import Played
from tests.chaos.posted import Posted
from tests.chaos.published import Published
from tests.chaos.stored import Stored
from tests.chaos.ways import MakeWay, Way, Ways
from tests.chaos.world import (
    ACTING_STREAMS,
    DRIFT_SECONDS,
    SETTINGS,
    STREAMS,
    Expected,
    Feeder,
    Pool,
    together,
)
from tests.mosquitto import MOSQUITTO
from tests.producers.live import has_rtsp_server

WAYS: Mapping[str, MakeWay] = {"http": Posted, "objects": Stored, "mqtt-in": Published, "rtsp": Played}
"""By the process that is killed."""
_ROLES = ("embed", "reduce", "retrain", "camera-events", "retrain-trigger", "watch", "beat", "redis")
# A retraining takes half a minute here, and after a kill is called again a minute later: among more kills none would
# ever end, and there would be nothing to lose. Redis has a schedule of its own.
_WEIGHTS = (18, 9, 1, 9, 6, 9, 3, 0)
_WAY_KILL_SECONDS = 20.0  # in the mean between two kills of the process of one way in, which have a schedule too
_BUSY_CHUNKS = 40  # that wait in all, and the watched folder is given nothing more
_WAY_BUSY_CHUNKS = 16  # the same of one way in and its own streams
_DRAIN_SECONDS = 600.0  # retrainings among it, which are slow on a busy machine
_ACTING_SECONDS = 240.0  # for what was begun among the kills, and for retrainings to end
_SOON_SECONDS = 30.0  # a retraining that is due within this time is waited for
_RETRY_SECONDS = 0.2


@dataclass
class Chaos:
    """One run. `problems` is empty at the end, or the promises were broken."""

    folder: Path
    seconds: float
    seed: int
    kill_every: float
    redis_kills: int
    drift_seconds: float = DRIFT_SECONDS
    goals: Goals = field(default_factory=Goals)
    ways: Sequence[str] = ()
    kills: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    seconds_in_line: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def run(self) -> None:
        self.rng = random.Random(self.seed)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SENTINEL_")},
            **SETTINGS,
            "SENTINEL_STATE_DIR": str(self.folder / "state"),
            "SENTINEL_WATCH_DIR": str(self.folder / "incoming"),
            "SENTINEL_BASELINES_DIR": str(self.folder / "baselines"),
            "SENTINEL_ALLOWED_ROOTS": str(self.folder / "pool"),
            "PYTHONUNBUFFERED": "1",
        }
        say(f"seed {self.seed}, {self.seconds:.0f} s, in {self.folder}")
        pool = Pool(self.folder / "pool", self.drift_seconds)
        rule = WindowRule(frames=48, stride=12)
        made: list[Way] = []
        self.fed_ways = Ways(made, self._has_room)
        try:
            for name in self.ways:
                made.append(WAYS[name](pool, self.folder, rule, random.Random(f"{self.seed} {name}")))
            self._run(pool, rule)
        finally:
            self.fed_ways.close()

    def _run(self, pool: Pool, rule: WindowRule) -> None:
        config = self.folder / "sentinel.toml"
        config.write_text(self.fed_ways.config())
        self.environment |= {**self.fed_ways.environment, "SENTINEL_CONFIG": str(config)}
        self._sentinel("baseline", "build", str(pool.golden), "--name", "golden")
        feeder = Feeder(pool, self.folder / "incoming", rule, self.rng)
        with (self.folder / "up.log").open("ab") as log:
            command = [sys.executable, "-m", "sentinel", "up"]
            self.stack = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)
        try:
            info = self._wait_for_info()
            self.settings = Settings(
                _env_file=None, state_dir=self.folder / "state", baselines_dir=self.folder / "baselines",
                baseline="golden",
            )  # type: ignore[call-arg]  # fmt: skip
            self.store = Store(info.redis_url, self.settings)
            self._start_seconds(info.redis_url)
            self.fed_ways.begin(self.store)
            self._act_and_feed(feeder)
            feeder.settle()
            say(f"fed; killed {sum(self.kills.values())}: {dict(self.kills)}; waiting for the rest to be worked off")
            self._drain(feeder)
            self._check(feeder)
        finally:
            for process in self.seconds_in_line:
                process.terminate()
                process.wait(60)
            self.stack.send_signal(signal.SIGINT)
            self.stack.wait(120)

    def _act_and_feed(self, feeder: Feeder) -> None:
        """Feed and kill, while streams drift and a person acts; what is begun then is ended without kills."""
        actor = Actor(self.store, feeder, self.environment, self.goals)
        acting = threading.Thread(target=actor.run, name="actor", daemon=True)
        acting.start()
        self._feed(feeder)
        self.fed_ways.end()
        self.problems += self.fed_ways.problems
        actor.stop.set()
        acting.join(_ACTING_SECONDS)
        say(f"acted: {dict(actor.done)}")
        if acting.is_alive():
            self.problems.append("what a person said among the kills did not come to an end")
        if not actor.reached:
            self.problems.append(f"too little was done among the kills: {dict(actor.done)}, wanted {self.goals}")

    def _start_seconds(self, redis_url: str) -> None:
        """Start a second watcher, camera-events, retrain trigger and beat, on the same folder and the same Streams."""
        environment = {**self.environment, "SENTINEL_REDIS_URL": redis_url}
        beat = ["-m", "celery", "-A", "producers.schedule", "beat"]
        with (self.folder / "seconds.log").open("ab") as log:
            commands = [["-m", "sentinel", name] for name in ("watch", "camera-events", "retrain-trigger")]
            for command in (*commands, beat):
                process = subprocess.Popen([sys.executable, *command], env=environment, stdout=log, stderr=log)
                self.seconds_in_line.append(process)

    def _feed(self, feeder: Feeder) -> None:
        started = time.monotonic()
        next_kill = started + 5.0
        planned = [(started + at, role) for at, role in self._planned_kills()]
        shown = started
        while (now := time.monotonic()) < started + self.seconds:
            action = self.rng.choices(
                ["file", "again", "poison file", "event", "double event", "poison event"], [4, 1, 1, 12, 3, 1]
            )[0]
            if action == "file" and self._waiting() < _BUSY_CHUNKS:
                feeder.file()
            elif action == "again":
                feeder.file_again()
            elif action == "poison file":
                feeder.poison_file()
            elif action == "event":
                self._offer(feeder.event())
            elif action == "double event" and feeder.events:
                self._offer(self.rng.choice(feeder.events))
                feeder.expected.doubled += 1
            elif action == "poison event":
                self._offer(feeder.poison_event())
            if now >= next_kill:
                self._kill(self.rng.choices(_ROLES, _WEIGHTS)[0])
                next_kill = now + self.kill_every * self.rng.uniform(0.5, 1.5)
            if planned and now >= planned[0][0] and self._kill(planned[0][1]):
                planned.pop(0)
            if now - shown > 15:
                shown = now
                fed = sum(feeder.expected.frames.values())
                say(f"{now - started:4.0f} s: {fed} frames fed, {sum(self.kills.values())} kills")
            time.sleep(self.rng.uniform(0.05, 0.25))

    def _planned_kills(self) -> list[tuple[float, str]]:
        """Return when, in seconds from the start, processes are killed that have a schedule: Redis, and those of the
        ways in at random times."""
        redis_at = [self.seconds * (i + 1) / (self.redis_kills + 1) for i in range(self.redis_kills)]
        ways_at = [
            (self.rng.uniform(0.1, 0.9) * self.seconds, role)
            for role in self.fed_ways.roles
            for _ in range(max(1, int(self.seconds / _WAY_KILL_SECONDS)))
        ]
        return sorted([*((at, "redis") for at in redis_at), *ways_at])

    def _kill(self, role: str) -> bool:
        """Kill a process; return whether there was one: it may not be back from the last time."""
        victims = self._processes().get(role)
        if not victims:
            return False
        victim = self.rng.choice(victims)
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            return False
        self.kills[role] += 1
        return True

    def _processes(self) -> dict[str, list[int]]:
        """Return the process ids of the stack by role; a worker's pool processes have its role."""
        found: dict[str, list[int]] = {}
        for child in psutil.Process(self.stack.pid).children(recursive=True):
            try:
                words = child.cmdline()
            except psutil.Error:
                continue
            line = " ".join(words)
            for role in (*_ROLES, *self.fed_ways.roles):
                named = f"-n {role}@" in line or (words and words[-1] == role) or f" {role} " in f" {line} "
                if named or (role == "redis" and "redis-server" in line):
                    found.setdefault(role, []).append(child.pid)
                    break
        return found

    def _offer(self, fields: dict[str, str]) -> None:
        """Write a camera event until Redis has it, as a camera would."""
        while True:
            try:
                self.store.client.xadd(keys.INGEST, fields)  # type: ignore[arg-type]
                return
            except redis.RedisError:
                time.sleep(_RETRY_SECONDS)

    def _waiting(self) -> int:
        try:
            return sum(self.store.streams.pending(stream) for stream in self._streams)
        except redis.RedisError:
            return 1_000_000

    def _has_room(self, streams: Sequence[str]) -> bool:
        """Return whether a way in goes on feeding its streams: also while Redis is away, as cameras do."""
        try:
            return sum(self.store.streams.pending(stream) for stream in streams) < _WAY_BUSY_CHUNKS
        except redis.RedisError:
            return True

    @property
    def _streams(self) -> tuple[str, ...]:
        return (*STREAMS, *self.fed_ways.streams)

    def _expected(self, feeder: Feeder) -> Expected:
        return together([feeder.expected, *self.fed_ways.expected])

    def _drain(self, feeder: Feeder) -> None:
        deadline = time.monotonic() + _DRAIN_SECONDS
        while time.monotonic() < deadline:
            try:
                settled, expected = self.fed_ways.settle(), self._expected(feeder)
                if (
                    settled
                    and self._complete() == expected.batches
                    and not self._waiting()
                    and self._dead_letter_count() >= expected.poison
                    and not self._undecided()
                ):
                    time.sleep(5.0)  # whatever would count twice would do so now
                    return
            except redis.RedisError:
                pass
            time.sleep(0.5)
        self.problems.append(f"not worked off after {_DRAIN_SECONDS:.0f} s: {self._waiting()} chunks wait")

    def _undecided(self) -> bool:
        """Return whether a retraining runs, is about to, or has not said how it ended."""
        streams, champions = self.store.streams, self.store.champions
        due_at = champions.due_at(DEFAULT_MODEL)
        if champions.is_leased(DEFAULT_MODEL) or (due_at is not None and due_at < time.time() + _SOON_SECONDS):
            return True
        return any(unended(streams.incidents(stream)) or streams.window(stream).notes for stream in STREAMS)

    def _complete(self) -> dict[str, int]:
        return dict(complete_batches(list(self.store.event_log.events())))

    def _dead_letter_count(self) -> int:
        return sum(1 for _ in self.store.event_log.dead_letters())

    def _check(self, feeder: Feeder) -> None:
        if not self.fed_ways.settle():
            self.problems.append("a live camera was stopped, and what it sent last is not stored yet")
        expected, events = self._expected(feeder), list(self.store.event_log.events())
        table = [
            *count_rows(self.store, expected, events, self._streams),
            *self.fed_ways.rows(events),
            *champion_rows(self.store, events),
            *incident_rows(self.store, events, STREAMS, self.settings),
            *golden_rows(self.store, self.settings, ACTING_STREAMS),
        ]
        for what, want, have in table:
            verdict = "ok" if want == have else "BROKEN"
            say(f"{verdict:6s} {what}: {str(want)[:200]} = {str(have)[:200]}")
            if want != have:
                self.problems.append(f"{what}: expected {want}, found {have}")
        letters = list(self.store.event_log.dead_letters())
        if len(letters) != expected.poison:
            for letter in letters:
                say(f"       letter {letter.kind} {letter.stream} {letter.subject[:60]}: {letter.reason[:100]}")
        for process in self.seconds_in_line:
            if process.poll() is not None:
                self.problems.append(
                    f"{process.args} ended by itself: {(self.folder / 'seconds.log').read_text()[-2000:]}"
                )
        say(
            f"{sum(expected.frames.values())} frames, {sum(expected.batches.values())} batches, {expected.doubled} fed "
            f"twice, {expected.poison} poisoned, {sum(self.kills.values())} kills: {dict(sorted(self.kills.items()))}, "
            f"{verdict_count(events)} verdicts, {len(self.store.champions.history(DEFAULT_MODEL))} champions"
        )

    def _sentinel(self, *arguments: str) -> None:
        subprocess.run([sys.executable, "-m", "sentinel", *arguments], env=self.environment, check=True)

    def _wait_for_info(self) -> StackInfo:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if info := read_info(self.folder / "state"):
                return info
            time.sleep(0.2)
        raise TimeoutError((self.folder / "up.log").read_text())


def is_there(way: str) -> bool:
    """Return whether the server that a way in needs is installed; say so if it is not, and that the way is left out."""
    if way == "mqtt-in" and MOSQUITTO is None:
        say("mqtt-in is left out: no mosquitto, which is in Debian's package of that name")
        return False
    if way == "rtsp" and not has_rtsp_server():
        say("rtsp is left out: no RTSP server of GStreamer's; benchmarks/rtsp_server.py says what to install")
        return False
    return True


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kill-every", type=float, default=2.7, help="seconds between kills, in the mean")
    parser.add_argument("--redis-kills", type=int, default=None, help="default: one each 100 s, at least one")
    parser.add_argument("--ways", nargs="*", choices=tuple(WAYS), default=tuple(WAYS), help="default: all of them")
    chosen = parser.parse_args()
    seconds = chosen.minutes * 60
    redis_kills = max(1, int(seconds / 100)) if chosen.redis_kills is None else chosen.redis_kills
    folder = Path(tempfile.mkdtemp(prefix="sentinel-chaos-"))
    there = [name for name in chosen.ways if is_there(name)]
    chaos = Chaos(
        folder, seconds, chosen.seed, chosen.kill_every, redis_kills, DRIFT_SECONDS, Goals.within(seconds), there
    )
    chaos.run()
    if chaos.problems:
        sys.exit("\n".join([f"promises broken (logs and state are in {folder}):", *chaos.problems]))
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
