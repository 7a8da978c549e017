"""Two versions of Sentinel on one machine: where they lie, and how they are called from outside.

Nothing of either version is imported: a version is a folder that `python -m sentinel` finds by PYTHONPATH, its
settings are in the environment, and what it says is JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

PRESENT = Path(__file__).resolve().parents[1]
_VERDICT_CODES = (0, 1)  # PASS and FAIL
_PATIENCE_SECONDS = 1800.0


@dataclass(frozen=True)
class Tree:
    """One version: a checkout, and a folder for what it stores.

    Attributes
    ----------
    label : `base` or `new`
    code : the checkout
    scratch : where its commands run and its caches of backbones lie
    """

    label: str
    code: Path
    scratch: Path

    def environment(self, settings: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
        """Return the environment of a command of this version: no settings but those given, no `.env`."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("SENTINEL_")}
        return {
            **own,
            "PYTHONPATH": str(self.code),  # goes before an editable install, and child processes inherit it
            "SENTINEL_STATE_DIR": str(self.scratch / "state"),
            "SENTINEL_FLOWER_PORT": "0",
            "SENTINEL_METRICS_PORT": "0",
            "SENTINEL_PAGE_PORT": "0",
            **settings,
        }

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "sentinel", *arguments]

    def run(self, *arguments: str, settings: Mapping[str, str], codes: tuple[int, ...] = (0,)) -> str:
        """Run a command and return what it prints; raise `RuntimeError` with what it says if it went wrong."""
        done = subprocess.run(
            self.command(*arguments), cwd=self.scratch, env=self.environment(settings),
            capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=False,
        )  # fmt: skip
        if done.returncode not in codes:
            raise RuntimeError(f"{self.label}: sentinel {' '.join(arguments)} gave {done.returncode}: {done.stderr}")
        return done.stdout

    def build(self, golden: Path, name: str, folder: Path, settings: Mapping[str, str]) -> Path:
        """Build a baseline and return its folder."""
        self.run("baseline", "build", str(golden), "--name", name, "--out", str(folder), "--json", settings=settings)
        return folder / name

    def check(self, clip: Path, baseline: Path, settings: Mapping[str, str]) -> tuple[dict[str, Any], float]:
        """Judge `clip`; return what is printed, and the seconds that it took."""
        began = time.perf_counter()
        printed = self.run(
            "check", str(clip), "--baseline", str(baseline), "--json", settings=settings, codes=_VERDICT_CODES
        )
        return json.loads(printed), time.perf_counter() - began

    def require_own_code(self) -> None:
        """Raise `RuntimeError` unless a process of this version runs this version's code."""
        asked = [sys.executable, "-c", "import sentinel; print(sentinel.__file__)"]
        done = subprocess.run(
            asked, cwd=self.scratch, env=self.environment(), capture_output=True, text=True, check=True
        )
        if not Path(done.stdout.strip()).resolve().is_relative_to(self.code.resolve()):
            raise RuntimeError(f"{self.label} would run {done.stdout.strip()}, not the code in {self.code}")


@contextmanager
def two_trees(base: str, folder: Path) -> Iterator[tuple[Tree, Tree]]:
    """Check commit `base` out beside the present tree, yield both, and remove the checkout."""
    code = Path(tempfile.mkdtemp(prefix="sentinel-base-")) / "tree"
    git = ["git", "-C", str(PRESENT), "worktree"]
    try:
        subprocess.run([*git, "add", "--detach", "--quiet", str(code), base], check=True)
        trees = []
        for label, tree in (("base", code), ("new", PRESENT)):
            scratch = folder / label
            scratch.mkdir()
            trees.append(Tree(label, tree, scratch))
            trees[-1].require_own_code()
        yield trees[0], trees[1]
    finally:
        subprocess.run([*git, "remove", "--force", str(code)], check=False)
        code.parent.rmdir()


def commit_of(tree: Path) -> str:
    """Return the commit of a checkout, with a sign where files differ from it."""
    done = subprocess.run(
        ["git", "-C", str(tree), "describe", "--always", "--dirty", "--abbrev=10"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()
