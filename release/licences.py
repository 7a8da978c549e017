"""Under which licences the dependencies are: the table of LICENCES.md, from what is installed and pinned.

    python -m release.licences .

A dependency at run time is what `dependencies` in pyproject.toml names, and what these ask for in turn, as far as
requirements.lock pins it. The licence is what a distribution's own metadata says (License-Expression, else License,
else the classifiers). A note says what the metadata does not: a licence that is missing there, what a copyleft licence
asks for, and what a wheel brings along under other licences than its own.
"""

from __future__ import annotations

import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from release.notes import NOT_HERE, NOTES, UNSAID
from sentinel.cli.generated import between

FILE = "LICENCES.md"
_LOCK, _PROJECT = "requirements.lock", "pyproject.toml"

PERMISSIVE = frozenset((
    "0BSD", "Apache-2.0", "BSD", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MIT-CMU", "PSF-2.0", "Zlib",
))  # fmt: skip
"""Licences that ask for no more than to be named, and may stand in one work with Apache-2.0. "BSD" is what many
distributions say without saying which."""
_WORDS = {
    "apache": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache license": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "3-clause bsd license": "BSD-3-Clause",
    "bsd 3-clause": "BSD-3-Clause",
    "bsd license": "BSD",
    "new bsd": "BSD-3-Clause",
    "isc license": "ISC",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
}
"""What metadata of before SPDX says, in small letters, and what that is in SPDX."""
_NO_NAME = frozenset(("dual license",))  # what is said in place of a name: the classifiers have the names
_LONGEST = 60  # characters of a licence's name; what is longer is its text


@dataclass(frozen=True)
class Licence:
    """The licence of one distribution.

    Attributes
    ----------
    name : of the distribution
    version : whose metadata was read; empty: it is not installed on this kind of machine
    licence : an SPDX expression, or what the metadata says; empty: it says nothing
    bundles : names of the shared libraries that its wheel brings along
    """

    name: str
    version: str
    licence: str
    bundles: tuple[str, ...] = ()


def pinned(lock: str) -> dict[str, list[str]]:
    """Return the versions that requirements.lock pins, by name; there are several where Python versions differ."""
    found: dict[str, list[str]] = {}
    for line in lock.splitlines():
        if line.strip() and not line.startswith("#"):
            requirement = Requirement(line)
            (specifier,) = requirement.specifier
            found.setdefault(canonicalize_name(requirement.name), []).append(specifier.version)
    return found


def runtime_names(root: Path) -> list[str]:
    """Return the names of what is pinned and needed at run time, on any kind of machine.

    Extras of Sentinel's own are left out; those of a dependency count where they are asked for.
    """
    project = tomllib.loads((root / _PROJECT).read_text(encoding="utf-8"))["project"]
    lock = pinned((root / _LOCK).read_text(encoding="utf-8"))
    found: set[tuple[str, str]] = set()
    waiting = list(_wanted(project["dependencies"], ("",)))
    while waiting:
        name, extra = waiting.pop()
        if name not in lock or (name, extra) in found:
            continue
        found.add((name, extra))
        try:
            requires = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:  # for another system or Python
            continue
        waiting += _wanted(requires, (extra,))
    return sorted({name for name, _ in found})


def _wanted(requirements: Iterable[str], extras: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield name and extra of each requirement that holds with one of `extras`, on some system and Python."""
    for line in requirements:
        requirement = Requirement(line)
        marker = str(requirement.marker or "")
        asked = re.findall(r'extra == "([^"]+)"', marker)
        if not asked or set(asked) & set(extras):
            yield canonicalize_name(requirement.name), ""
            yield from ((canonicalize_name(requirement.name), extra) for extra in requirement.extras)


def licence_of(name: str) -> Licence:
    """Return the licence of a distribution, by its own metadata if it is installed."""
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return Licence(name, "", NOT_HERE.get(name, ""))
    metadata = distribution.metadata
    return Licence(name, distribution.version, said_in(metadata) or UNSAID.get(name, ""), _bundled(distribution))


def said_in(metadata: importlib.metadata.PackageMetadata) -> str:
    """Return the licence that metadata names, as SPDX where that is known; empty: none."""
    if expressions := metadata.get_all("License-Expression"):
        return str(expressions[0])
    text = "".join(metadata.get_all("License") or ()).strip()
    if text and len(text) <= _LONGEST and text.lower() not in _NO_NAME:
        return _spdx(text)
    rows = [row.rpartition(" :: ")[2] for row in metadata.get_all("Classifier") or () if row.startswith("License ::")]
    return " OR ".join(dict.fromkeys(_spdx(row) for row in rows))


def _spdx(said: str) -> str:
    last = said.rpartition(" :: ")[2]
    return _WORDS.get(last.lower(), last)


def _bundled(distribution: importlib.metadata.Distribution) -> tuple[str, ...]:
    """Return the shared libraries in a wheel's folder of foreign ones, where auditwheel and delocate put them."""
    paths = [Path(str(file)) for file in distribution.files or ()]
    foreign = [path.name for path in paths if path.parts[0].endswith(".libs") or ".dylibs" in path.parts]
    return tuple(sorted({re.split(r"[-.]", name)[0] for name in foreign}))


def is_permissive(expression: str) -> bool:
    """Return whether an SPDX expression lets everything in it be used by a permissive licence.

    >>> is_permissive("EPL-2.0 OR BSD-3-Clause"), is_permissive("MPL-2.0 AND MIT"), is_permissive("")
    (True, False, False)
    """
    if "(" in expression or " OR " not in expression:
        return all(part in PERMISSIVE for part in re.split(r" AND | OR ", expression.replace("(", "").replace(")", "")))
    return any(is_permissive(choice) for choice in expression.split(" OR "))


def troubles(rows: Iterable[Licence], notes: Mapping[str, str] = NOTES) -> list[str]:
    """Return what a person must look at before a release: no licence, one that asks for more, foreign libraries."""
    found = []
    for row in rows:
        if not row.licence:
            found.append(f"{row.name} names no licence: look at its sources, and say it in release/notes.py")
        elif not is_permissive(row.licence) and row.name not in notes:
            found.append(f"{row.name} is under {row.licence}: say what that asks for in release/notes.py, or leave it")
        if row.bundles and row.name not in notes:
            brought = ", ".join(row.bundles)
            found.append(f"{row.name} brings {brought} along: say under which licences in release/notes.py")
    return found


def table(rows: Iterable[Licence]) -> list[str]:
    """Return the table of LICENCES.md as lines of Markdown."""
    lines = ["| distribution | looked at | licence | note |", "|---|---|---|---|"]
    lines += [f"| {row.name} | {row.version or '-'} | {row.licence} | {NOTES.get(row.name, '')} |" for row in rows]
    return lines


def rows_of(text: str) -> dict[str, tuple[str, str]]:
    """Return version and licence of each distribution that LICENCES.md names."""
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:2] == "| "]
    return {row[0]: (row[1], row[2]) for row in cells[1:] if len(row) == 4}


def main() -> None:
    root = Path(sys.argv[1])
    rows = [licence_of(name) for name in runtime_names(root)]
    wrong = troubles(rows)
    if wrong:
        raise SystemExit("\n".join(wrong))
    path = root / FILE
    text = path.read_text(encoding="utf-8")
    made = between(text, "licences:", table(rows))
    if made != text:
        path.write_text(made, encoding="utf-8")
        print(f"{FILE} is brought up to date")


if __name__ == "__main__":
    main()
