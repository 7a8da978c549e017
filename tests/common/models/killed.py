"""The retrain worker's task in a process of its own, which kills itself with SIGKILL at a point that it is told.

python -m tests.common.models.killed KIND [--before PLACE | --at NUMBER] [--count FILE]

A point lies before each thing that it does: a file or folder that is made, renamed or removed, a command to Redis.
PLACE is a regular expression that is looked for in `rename /from /to`, `open /path`, `redis EVALSHA ...` and the like;
NUMBER counts them.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import redis

from common.models import kinds
from common.models.vfi import triplets
from common.settings import get_settings
from tests.common.models import thrifty  # before anything is counted
from workers import retraining

_WATCHED = ("os.mkdir", "os.rename", "os.rmdir", "os.remove", "shutil.rmtree")


class Killer:
    """Counts what is done, and ends the process before one of it."""

    def __init__(self, place: str | None, number: int | None, root: Path) -> None:
        self._place = re.compile(place) if place else None
        self._number = number
        self._root = str(root)
        self.count = 0

    def heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Listen to what Python does (an audit hook)."""
        if event in _WATCHED:
            self._point(" ".join([event.rpartition(".")[2], *(str(part) for part in arguments)]))
        elif event == "open" and isinstance(arguments[0], str) and arguments[2] & (os.O_WRONLY | os.O_RDWR):
            self._point(f"open {arguments[0]}")

    def asked(self, *arguments: Any) -> None:
        """Listen to a command to Redis."""
        self._point("redis " + " ".join(str(part)[:4000] for part in arguments))

    def _point(self, what: str) -> None:
        if not what.startswith("redis ") and self._root not in what:
            return
        self.count += 1
        if (self._place and self._place.search(what)) or self.count == self._number:
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", help="entry point of the kind of model")
    parser.add_argument("--before")
    parser.add_argument("--at", type=int)
    parser.add_argument("--count", type=Path)
    chosen = parser.parse_args()
    offered = EntryPoints([EntryPoint("vfi", chosen.kind, kinds.GROUP)])
    kinds.entry_points = lambda *, group: offered.select(group=group)  # type: ignore[assignment]
    triplets.TRIPLET_SIZE = thrifty.SIZE
    killer = Killer(chosen.before, chosen.at, get_settings().state_dir.resolve())
    execute, run_pipeline = redis.Redis.execute_command, redis.client.Pipeline.execute

    def executed(self: redis.Redis, *arguments: Any, **options: Any) -> Any:
        killer.asked(*arguments)
        return execute(self, *arguments, **options)

    def piped(self: redis.client.Pipeline, *arguments: Any, **options: Any) -> Any:
        killer.asked("pipeline")
        return run_pipeline(self, *arguments, **options)

    redis.Redis.execute_command = executed  # type: ignore[method-assign]
    redis.client.Pipeline.execute = piped  # type: ignore[method-assign]
    sys.addaudithook(killer.heard)
    said = retraining.retrain("vfi")
    if chosen.count:
        chosen.count.write_text(f"{killer.count}\n{said}")


if __name__ == "__main__":
    main()
