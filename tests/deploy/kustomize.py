"""Builds an overlay of deploy/kubernetes with the kustomize that is installed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
OLDEST = 5
"""The first major version that knows all that the overlays use."""


def kustomize() -> list[str]:
    """Return the command that builds a folder; skip the test where none is new enough."""
    for command, version in ((["kustomize", "build"], ["kustomize", "version"]),
                             (["kubectl", "kustomize"], ["kubectl", "version", "--client"])):  # fmt: skip
        if shutil.which(command[0]) is None:
            continue
        said = subprocess.run(version, check=False, capture_output=True, text=True).stdout
        found = re.search(r"(?:Kustomize Version: *|^\{?)v?(\d+)\.\d+", said, re.MULTILINE)
        if found and int(found[1]) >= OLDEST:
            return command
    pytest.skip(f"no kustomize {OLDEST}, and no kubectl with it: Debian 13 has one in kubernetes-client")


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    """Build a folder; the manifests are in its output, what is wrong with it in its standard error."""
    return subprocess.run([*kustomize(), str(folder)], check=False, capture_output=True, text=True)


def copy_with_secrets(to: Path) -> Path:
    """Copy deploy/kubernetes, without secrets of the developer, and make new ones as its page says."""
    shutil.copytree(KUBERNETES, to, ignore=shutil.ignore_patterns("connections.env", "people.env", "redis-users.env"))
    subprocess.run([to / "secrets" / "fill"], check=True, capture_output=True)
    return to
