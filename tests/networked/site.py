"""What the runs share: footage, Sentinel's processes here and on a host of another network, what is written down."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.watched import environment_of, wait_until
from common.contracts.events import Event, EventType
from common.drift.windows import WindowRule
from common.processes import PROCESSES
from common.settings import Settings
from common.store import Store
from simulation.faults import Fault
from simulation.saboteur import sabotage
from simulation.virtual_camera import record
from tests.bare_redis import bare_redis
from tests.chaos.counting import complete_batches, count_rows
from tests.chaos.decisions import Row
from tests.chaos.world import FPS, HEIGHT, WIDTH, Expected, windows_of_batch
from tests.network import Network

RULE = WindowRule(frames=48, stride=12)
BASELINE = "golden"
_PASSWORD = "of-this-run"
_DRAIN_SECONDS = 300.0
_SETTLED_SECONDS = 5.0  # whatever would count twice would do so within them
_PROCESS = {process.name: process for process in PROCESSES}


@dataclass
class Result:
    """What one run found: lines for people, and whether what was promised holds."""

    lines: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def table(self, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        self.lines += ["", _row(head), _row(["---"] * len(head)), *map(_row, rows)]

    def expect(self, what: str, wanted: object, found: object) -> None:
        if wanted != found:
            self.problems.append(f"{what}: expected {wanted}, found {found}")

    def compare(self, rows: Sequence[Row]) -> None:
        for what, wanted, found in rows:
            self.expect(what, wanted, found)


def _row(cells: Sequence[object]) -> str:
    return f"| {' | '.join(str(cell) for cell in cells)} |"


class Footage:
    """Clips of the virtual camera: golden, clean ones, and one with noise."""

    def __init__(self, folder: Path) -> None:
        self.golden, self.clean, self.long = (folder / f"{name}.mp4" for name in ("golden", "clean", "long"))
        self.noisy = folder / "noisy.mp4"
        self.frames = {self.clean: 120, self.noisy: 120, self.long: 1200}
        for seed, (path, seconds) in enumerate(((self.golden, 30), (self.clean, 12), (self.long, 120)), 1):
            record(path, seconds=seconds, fps=FPS, seed=seed, width=WIDTH, height=HEIGHT)
        sabotage(self.clean, self.noisy, Fault.NOISE, severity=4)


class Site:
    """A Redis, a baseline, and processes on this machine and inside networks; for the context.

    Parameters
    ----------
    address : that Redis listens on
    own : further settings of the processes on this machine
    """

    def __init__(self, folder: Path, footage: Footage, address: str, **own: str) -> None:
        self.folder = folder
        self.footage = footage
        self.expected = Expected()
        self._address = address
        self._own = own
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Site:
        self.folder.mkdir()
        self._ended = ExitStack()
        options = ["--maxmemory-policy", "noeviction", "--appendonly", "yes", "--requirepass", _PASSWORD]
        client = self._ended.enter_context(bare_redis(self.folder, options, _PASSWORD, host=self._address))
        self.port = int(client.get_connection_kwargs()["port"])
        self.url = f"redis://:{_PASSWORD}@{self._address}:{self.port}/0"
        weights = {"SENTINEL_WEIGHTS": "random:0"}
        self.environment = environment_of(
            self.folder, self.url, **{"SENTINEL_BASELINE": BASELINE, **weights, **self._own}
        )
        settings = Settings(_env_file=None, state_dir=self.folder / "state")  # type: ignore[call-arg]
        self.store = Store(self.url, settings)
        self._ended.callback(self.store.client.close)
        self._ended.callback(self._stop)
        self.sentinel("baseline", "build", str(self.footage.golden), "--name", BASELINE)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.close()

    def sentinel(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the command line here, whatever it exits with."""
        command = [sys.executable, "-m", "sentinel", *words]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)

    def start(self, *names: str, **own: str) -> None:
        """Start processes here; `own` are settings of theirs."""
        for name in names:
            self._running.append(self._start(name, {**self.environment, **own}, lambda words: words, name))

    def start_inside(
        self, network: Network, name: str, *, hidden: Sequence[Path] = (), **own: str
    ) -> subprocess.Popen[bytes]:
        """Start a process on the host inside `network`, with a state folder of its own and no baseline.

        Parameters
        ----------
        hidden : folders that this host does not have
        own : settings of this process
        """
        folder = self.folder.parent / "other-host"
        folder.mkdir(exist_ok=True)
        environment = environment_of(folder, self.url, **{"SENTINEL_WEIGHTS": "random:0", **own})
        return self._start(name, environment, lambda words: network.command(words, hidden=hidden), f"{name}-inside")

    def _start(
        self, name: str, environment: dict[str, str], at: Callable[[list[str]], list[str]], log: str
    ) -> subprocess.Popen[bytes]:
        read = {key.removeprefix("SENTINEL_").lower(): value for key, value in environment.items()}
        settings = Settings(_env_file=None, embed_processes=int(read.get("embed_processes", 2)))  # type: ignore[call-arg]
        command = at([sys.executable, "-m", *_PROCESS[name].command(settings)])
        with (self.folder / f"{log}.log").open("ab") as out:
            return subprocess.Popen(command, env=environment, cwd=self.folder, stdout=out, stderr=out)

    def _stop(self) -> None:
        for process in self._running:
            process.terminate()
        for process in self._running:
            process.wait(60)

    def expect(self, stream: str, clip: Path) -> None:
        """Write down that `clip` was handed in."""
        frames = self.footage.frames[clip]
        self.expected.add(stream, frames, windows_of_batch(frames, RULE))

    def events(self) -> list[Event]:
        return list(self.store.event_log.events())

    def is_complete(self, stream: str) -> bool:
        """Return whether all batches that were handed in to `stream` are reported complete."""
        return complete_batches(self.events())[stream] >= self.expected.batches[stream]

    def drain(self, result: Result) -> None:
        """Wait until all that was handed in is complete, and compare it with what was counted."""
        streams = tuple(self.expected.batches)
        try:
            wait_until("what was handed in", lambda: all(map(self.is_complete, streams)), _DRAIN_SECONDS)
        except TimeoutError as error:
            result.problems.append(str(error))
        time.sleep(_SETTLED_SECONDS)
        result.compare(count_rows(self.store, self.expected, self.events(), streams))
        result.problems += [f"dead letter: {row.reason[:200]}" for row in self.store.event_log.dead_letters()]

    def verdicts(self, stream: str) -> list[tuple[object, ...]]:
        """Return start, stop, status, score, p and cause of each window of a stream."""
        found = (e.verdict for e in self.events() if e.type in {EventType.VERDICT_PASS, EventType.VERDICT_FAIL})
        rows = (verdict for verdict in found if verdict.stream == stream)
        return [(v.start, v.stop, v.status, v.drift_score, v.p_value, v.cause) for v in rows]
