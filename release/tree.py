"""What git knows of this tree: what a release is built from, and what it is held against."""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


class NotReleased(Exception):
    """A release cannot be made so; the message says what to do."""


def tracked(root: Path) -> list[str]:
    """Return the files of `root` that git tracks and that are there, as paths below it.

    Raises
    ------
    NotReleased
        If `root` is no checkout.
    """
    done = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotReleased(f"{root} is no checkout ({done.stderr.strip()}): a release is made from one")
    return sorted(name for name in done.stdout.split("\0") if name and (root / name).is_file())


def uncommitted(root: Path) -> list[str]:
    """Return what differs from the commit that is checked out, among the files that git tracks."""
    command = ["git", "status", "--porcelain", "--untracked-files=no"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def export(root: Path, folder: Path) -> Path:
    """Copy the tracked files of `root` to `folder`, and return it.

    Building in the checkout would leave `build/` there, and take from it what an earlier build has left.
    """
    for name in tracked(root):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / name, target)
    return folder


def packages(root: Path) -> list[str]:
    """Return the names of the top-level packages that are installed."""
    found = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    return [pattern.removesuffix("*") for pattern in found["find"]["include"]]


def shipped(root: Path) -> set[str]:
    """Return what a wheel should have beside its own description: every tracked file of the packages, data too."""
    ours = set(packages(root))
    return {name for name in tracked(root) if name.partition("/")[0] in ours and "/" in name}
