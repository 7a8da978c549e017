"""Wheel and source distribution: built from what git tracks, and looked into."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from packaging.metadata import Metadata

from release.tree import NotReleased, shipped

# What a source distribution has beside the packages: what builds it, what is read first, and what setuptools adds.
_BESIDE = {"pyproject.toml", "README.md", "LICENSE", "LICENCES.md", "PKG-INFO", "setup.cfg"}
_SECRET_NAMES = re.compile(r"(^|/)(\.env|\.pypirc|\.netrc|id_[a-z0-9]+|sentinel\.toml)$|\.(pem|key|p12|pfx)$")
_SECRET = re.compile(
    rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=]{40}|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_\w{36}\b"
)


@dataclass(frozen=True)
class Contents:
    """What is in an archive: bytes by path, the folder that a source distribution wraps them in left out."""

    name: str
    files: dict[str, bytes]

    def secrets(self) -> list[str]:
        """Return the paths that are called like a secret or hold a private key or an access token."""
        return [path for path, data in self.files.items() if _SECRET_NAMES.search(path) or _SECRET.search(data)]


def build(source: Path, out: Path, *what: str) -> list[Path]:
    """Build in `source`, with the setuptools of this environment, into `out`; return the files.

    Parameters
    ----------
    what : `--wheel` or `--sdist`; none: both, the wheel from the source distribution

    Raises
    ------
    NotReleased
        If it does not build; the message has the end of what was said.
    """
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), *what, str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotReleased(f"it does not build:\n{(done.stdout + done.stderr)[-3000:]}")
    return sorted(out.glob("sentinel_drift-*"))


def read_wheel(path: Path) -> Contents:
    """Return the files of a wheel."""
    with zipfile.ZipFile(path) as archive:
        return Contents(path.name, {row.filename: archive.read(row) for row in archive.infolist() if not row.is_dir()})


def read_sdist(path: Path) -> Contents:
    """Return the files of a source distribution."""
    files = {}
    with tarfile.open(path) as archive:
        for row in archive:
            content = archive.extractfile(row) if row.isfile() else None
            if content is not None:
                files[row.name.partition("/")[2]] = content.read()
    return Contents(path.name, files)


def wrong_in_wheel(wheel: Contents, root: Path, version: str) -> list[str]:
    """Return what is wrong with a wheel of `root`; empty: it has each tracked file of the packages and nothing else."""
    about = f"sentinel_drift-{version}.dist-info/"
    described = {path for path in wheel.files if path.startswith(about)}
    wanted = shipped(root)
    there = set(wheel.files) - described
    wrong = [f"not in the wheel: {path}" for path in sorted(wanted - there)]
    wrong += [f"in the wheel, and git does not know it: {path}" for path in sorted(there - wanted)]
    for path in ("licenses/LICENSE", "licenses/LICENCES.md", "entry_points.txt", "METADATA"):
        if about + path not in described:
            wrong.append(f"not in the wheel: {about}{path}")
    wrong += [f"looks like a secret: {path}" for path in wheel.secrets()]
    if about + "METADATA" in described:
        wrong += wrong_in_metadata(wheel.files[about + "METADATA"], version)
    return wrong


def wrong_in_sdist(sdist: Contents, root: Path) -> list[str]:
    """Return what is wrong with a source distribution of `root`."""
    there = {path for path in sdist.files if not path.startswith("sentinel_drift.egg-info/")}
    wanted = shipped(root)
    wrong = [f"not in the source distribution: {path}" for path in sorted(wanted - there)]
    wrong += [f"in the source distribution without need: {path}" for path in sorted(there - wanted - _BESIDE)]
    return wrong + [f"looks like a secret: {path}" for path in sdist.secrets()]


def wrong_in_metadata(text: bytes, version: str) -> list[str]:
    """Return what an index would refuse in a METADATA file, or show otherwise than meant."""
    try:
        metadata = Metadata.from_email(text, validate=True)
    except ExceptionGroup as errors:
        return [f"metadata: {error}" for error in errors.exceptions]
    wrong = []
    if str(metadata.version) != version:
        wrong.append(f"metadata: version {metadata.version}, the tree says {version}")
    if metadata.description_content_type != "text/markdown" or not metadata.description:
        wrong.append("metadata: README.md is not its description, as Markdown")
    if metadata.license_expression != "Apache-2.0":
        wrong.append(f"metadata: licence {metadata.license_expression}, the tree is under Apache-2.0")
    return wrong
