"""Make the stored-state fixture of the version that this is run from.

    python -m tests.upgrade.make_fixture --out tests/upgrade/fixtures/v0_2

It takes about five minutes. `life.live` runs a stack until there is something of everything that it stores: two golden
baselines, clean footage that passes, spoilt footage that fails, a promotion in each of two lines, one of them rolled
back and held, cameras with half-filled and sliding windows, FAILs that wait with their evidence, a run of FAILs that is
not confirmed, dead letters of every kind, a batch in the queue and an event unread when everything was stopped.

Written are `state.tar.xz` (baselines, champions, the embedded Redis' append-only file, incoming and other footage,
sentinel.toml, what was left of every time) and `expected.json`: what the command line says of it, and what going on
from there came to, on a copy in another folder.

========  =========================================================================================================
`v0_1`    by version 0.1.0, commit 42cf351, and this folder as it stood in commit efc6d88; one line of champions
`v0_2`    by version 0.2.0, commit 1b9b224, and this folder as it came with the fixture
`v0_3`    by version 0.3.0, commit 7aa7d9e, and `life_0_3`, which also says what is not in it
========  =========================================================================================================

To write one again, check the version out, put that `tests/upgrade` into the checkout, and run the command there: the
code reaches Sentinel only through `python -m sentinel`, settings in the environment, sentinel.toml and Redis Streams. A
later version is captured in the same way in its own checkout, with another --out and where it stores something new,
with more in `life`; the fixtures of older versions stay as they are.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from tests.upgrade import life, scenario
from tests.upgrade.scenario import DEAD_LETTERS, GOLDEN, YARD
from tests.upgrade.world import World

ARCHIVE, EXPECTED = "state.tar.xz", "expected.json"
_LIBRARIES = ("numpy", "scipy", "opencv-python-headless", "av", "openvino", "keras", "redis", "celery")


def processor() -> str:
    """Return the processor's model and a digest of its instructions: last digits of features depend on them.

    The name alone will not do: virtual machines call quite different processors by one name.
    """
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    told = dict(reversed([[part.strip() for part in line.split(":", 1)] for line in lines if ":" in line]))
    flags = hashlib.blake2b(told.get("flags", "").encode(), digest_size=8).hexdigest()
    return " ".join([told.get("model name", ""), told.get("cpu family", ""), told.get("model", ""), flags])


def libraries() -> dict[str, str]:
    """Return the versions of the libraries that make the figures."""
    return {name: importlib.metadata.version(name) for name in _LIBRARIES}


def commit() -> str:
    """Return the commit that is checked out here, or nothing where this is no checkout."""
    done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def lacking(told: dict[str, Any]) -> list[str]:
    """Return what a fixture should hold and, by what the command line says of it, does not."""
    golden, yard = (next(row for row in told["status"]["models"] if row["model"] == name) for name in (GOLDEN, YARD))
    streams = {row["stream"]: row for row in told["status"]["streams"]}
    north, south = streams["gate/north"], streams["gate/south"]
    there = {
        "a version that was rolled back to": golden["version"] == 3,
        "a hold": golden["held"] and not yard["held"],
        "a promoted champion": yard["version"] == 2,
        "FAILs that wait": all(line["waiting_fails"] and line["due"] for line in (golden, yard)),
        "a confirmed FAIL": north["confirmed"],
        "a run that is not confirmed": south["status"] == "FAIL" and not south["confirmed"],
        "a window that is not full": streams["half"]["status"] is None,
        "work in the queue": told["status"]["queues"]["embed"] == 1 and streams["waiting"]["pending_chunks"] == 1,
        "dead letters of every kind": {row["kind"] for row in told["dead"]} == DEAD_LETTERS,
    }
    return [what for what, true in there.items() if not true]


def make(folder: Path, out: Path, version: str) -> dict[str, Any]:
    """Write the fixture to `out`, working in `folder`; return what `expected.json` says."""
    world = World(folder / "written")
    world.folder.mkdir()
    life.live(world)
    scenario.store(world, out / ARCHIVE)
    root = str(world.folder)
    copy = scenario.restore(out / ARCHIVE, root, folder / "opened elsewhere")
    stored = scenario.described(copy)
    assert not (gone := lacking(stored)), f"not in the fixture: {gone}"
    expected: dict[str, Any] = json.loads(json.dumps(stored).replace(str(copy.folder), root))
    expected["continued"] = scenario.go_on(copy).to_dict()
    made = {"version": version, "commit": commit(), "root": root, "processor": processor(), "libraries": libraries()}
    return {"made": made, **expected}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--version", default="0.2.0", help="what is captured, as pyproject.toml calls it")
    parser.add_argument("--keep", action="store_true", help="keep the working folder with its logs")
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="sentinel-fixture-")).resolve()
    try:
        expected = make(folder, chosen.out, chosen.version)
        text = json.dumps(expected, indent=1, sort_keys=True, ensure_ascii=False)
        (chosen.out / EXPECTED).write_text(text + "\n", encoding="utf-8")
    finally:
        if chosen.keep:
            print(f"kept: {folder}")  # noqa: T201, a script for people
        else:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
