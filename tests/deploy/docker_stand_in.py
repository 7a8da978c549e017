"""Stands in for `docker` where no engine runs: it takes the same command line, and runs this checkout's `sentinel`.

    STAND_IN_IMAGE=file.json python docker_stand_in.py build | pull | tag | run ...

An image is its environment, a JSON object in the file that STAND_IN_IMAGE names; it has to be built or tagged by the
name by which it is run. Volumes are mapped by name: a word of the command that is a path in the container becomes that
on this machine. Nothing of the caller's environment but PATH reaches the command. Options that are not known here are
errors, as Docker's are: 125. What it does not show is how the monitor's image changes its user (sentinel/monitor.py).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

from sentinel.monitor import Places, judged_by

ROOT = Path(__file__).parents[2]
_CANNOT = 125  # what docker itself ends with if it cannot


class _Words(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        self.exit(_CANNOT, f"docker: {message}\n")


_NAMED = {"build": "t", "pull": "name", "tag": "target"}
"""The argument of each command that names the image that there is afterwards."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(_CANNOT, f"docker: {message}\n")


def main() -> None:
    image = Path(os.environ["STAND_IN_IMAGE"])
    built = image.with_suffix(".names")
    told = _parser().parse_args()
    if told.command == "run":
        if told.image not in (built.read_text().split() if built.exists() else []):
            sys.exit(f"docker: there is no image {told.image}")
        sys.exit(_run(told, json.loads(image.read_text())))
    if told.command == "build" and not (told.context / "Dockerfile").is_file():
        sys.exit("docker: there is no Dockerfile")
    with built.open("a") as file:
        file.write(f"{vars(told)[_NAMED[told.command]]}\n")


def _parser() -> _Parser:
    parser = _Parser(prog="docker", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)
    build = commands.add_parser("build", allow_abbrev=False)
    build.add_argument("-t", required=True)
    build.add_argument("context", type=Path)
    pull = commands.add_parser("pull", allow_abbrev=False)
    pull.add_argument("--quiet", action="store_true")
    pull.add_argument("name")
    tag = commands.add_parser("tag", allow_abbrev=False)
    tag.add_argument("source")
    tag.add_argument("target")
    run = commands.add_parser("run", allow_abbrev=False)
    run.add_argument("--rm", action="store_true", required=True)
    run.add_argument("--network", choices=["none"])
    run.add_argument("--entrypoint", choices=["sentinel"])
    run.add_argument("-v", action="append", default=[])
    run.add_argument("image")
    run.add_argument("words", nargs=argparse.REMAINDER)
    return parser


def _run(told: argparse.Namespace, image: dict[str, str]) -> int:
    mounts: dict[str, str] = {}
    for volume in told.v:
        source, target, *mode = volume.split(":")
        if not Path(source).is_absolute() or mode not in ([], ["ro"]):
            sys.exit(f"docker: {volume} is no volume")
        Path(source).mkdir(parents=True, exist_ok=True)  # as the engine does
        mounts[target] = source
    words = [_mapped(word, mounts) for word in told.words] or _judging(mounts)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **image}
    return subprocess.run([sys.executable, "-m", "sentinel", *words], env=environment, cwd="/", check=False).returncode


def _judging(mounts: dict[str, str]) -> list[str]:
    """Return the check that the monitor's image makes by default, of what is mounted."""
    footage, status, *references = (
        Path(mounts.get(f"/app/{name}", f"/nowhere/{name}"))
        for name in ("incoming_data", "status_output", "baseline", "golden", "baked")
    )
    options = judged_by(Places(footage, status, *references))
    return ["check", *options, str(footage), "--json", "--status-dir", str(status)]


def _mapped(word: str, mounts: dict[str, str]) -> str:
    for target, source in mounts.items():
        if word == target or word.startswith(f"{target}/"):
            return source + word[len(target) :]
    return word


if __name__ == "__main__":
    main()
