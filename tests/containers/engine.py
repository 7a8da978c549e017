"""The container engine that is there, and compose: run a command, and say what it printed if it fails.

Environment:

    CONTAINER_ENGINE    program that is spoken to as to docker (docker, podman); default: the one that answers
    CONTAINER_BUILD     words before `TAG TARGET FOLDER [options]` of a build; default: the engine's own build
    CONTAINER_COMPOSE   words before compose's own; default: `docker compose`, or podman-compose
    CONTAINER_RUN       options for each run, such as those that an engine without systemd needs
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

_LAST_LINES = 15


class StepFailed(Exception):
    """A step of the transcript ended otherwise than it should."""


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str
    seconds: float


class Engine:
    """Docker, or what is spoken to in the same way."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.program = os.environ.get("CONTAINER_ENGINE") or _answering()
        self._build = shlex.split(os.environ.get("CONTAINER_BUILD", ""))
        self._compose = shlex.split(os.environ.get("CONTAINER_COMPOSE", "")) or self._default_compose()
        self._options = shlex.split(os.environ.get("CONTAINER_RUN", ""))

    def _default_compose(self) -> list[str]:
        return ["docker", "compose"] if self.program == "docker" else ["podman-compose"]

    def build(self, tag: str, target: str, *options: str) -> Ended:
        """Build the image `target` of the project and call it `tag`."""
        if self._build:
            return self.ask([*self._build, tag, target, str(self._folder), *options])
        return self.ask([self.program, "build", "--tag", tag, "--target", target, *options, str(self._folder)])

    def run(self, *words: str, expect: int | None = 0) -> Ended:
        """Run a container that is removed afterwards."""
        return self.ask([self.program, "run", "--rm", *self._options, *words], expect=expect)

    def compose(self, *words: str, expect: int | None = 0) -> Ended:
        """Run a compose command on the project."""
        return self.ask([*self._compose, *words], expect=expect)

    def size(self, image: str) -> float:
        """Return the size of an image, MB."""
        return int(self.ask([self.program, "image", "inspect", "--format", "{{.Size}}", image]).out) / 1e6

    def healthy(self, container: str) -> bool:
        """Return whether the health check of a running container says so, asked now."""
        check = self.ask([self.program, "inspect", "--format", "{{json .Config.Healthcheck}}", container], expect=None)
        if check.code != 0:
            return False
        if self.program == "docker":
            return (
                self.ask(["docker", "inspect", "--format", "{{.State.Health.Status}}", container]).out.strip()
                == "healthy"
            )
        return self.ask([self.program, "healthcheck", "run", container], expect=None).code == 0

    def ask(self, words: list[str], *, expect: int | None = 0) -> Ended:
        """Run a command in the project's folder; raise `StepFailed` unless it ends with `expect`."""
        began = time.monotonic()
        done = subprocess.run(words, cwd=self._folder, capture_output=True, text=True, errors="replace", check=False)
        ended = Ended(done.returncode, done.stdout, done.stderr, time.monotonic() - began)
        if expect is not None and ended.code != expect:
            said = "\n".join([*ended.out.splitlines()[-_LAST_LINES:], *ended.err.splitlines()[-_LAST_LINES:]])
            raise StepFailed(f"{shlex.join(words)} ended with {ended.code}, not {expect}:\n{said}")
        return ended


def _answering() -> str:
    for program in ("docker", "podman"):
        if (
            shutil.which(program)
            and subprocess.run([program, "info"], capture_output=True, check=False).returncode == 0
        ):
            return program
    raise SystemExit("no container engine answers: start Docker or install podman, or set CONTAINER_ENGINE")
