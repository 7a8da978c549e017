"""Sentinel on networks that are cut and lose packets: namespaces of this machine, real servers, real workers.

    python -m tests.networked.run [--parts cameras storage hosts] [--seed 1]

`cameras`: a live camera's network is cut for longer than it may be silent, and healed; others lose packets.
`storage`: an embedding worker on a host that reaches Redis and an S3 server, and has no disk in common with anybody,
judges as `sentinel check` does by the file; then it is killed twenty times while objects are taken in. `hosts`: that
host is cut off in the middle of a batch. Prints what it found, and ends with 1 if a promise was broken. It needs root,
`ip` and iptables, and `cameras` GStreamer's RTSP server.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.machine import machine
from tests.network import why_no_network
from tests.networked import cameras, hosts, storage
from tests.networked.site import Footage, Result
from tests.producers.live import has_rtsp_server


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=("cameras", "storage", "hosts"), default=None)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    logging.disable(logging.INFO)
    if why := why_no_network():
        say(f"left out: {why}")
        return
    say(machine())
    folder = Path(tempfile.mkdtemp(prefix="sentinel-network-"))
    films = folder / "films"
    films.mkdir()
    footage = Footage(films)
    parts: dict[str, Callable[[], Result]] = {
        "cameras": lambda: cameras.run(films, footage),
        "storage": lambda: storage.run(folder / "storage", footage, chosen.seed),
        "hosts": lambda: hosts.run(folder / "hosts", footage),
    }
    problems = []
    for name in chosen.parts or parts:
        if name == "cameras" and not has_rtsp_server():
            say("cameras are left out: no RTSP server of GStreamer's; benchmarks/rtsp_server.py says what to install")
            continue
        began = time.monotonic()
        found = parts[name]()
        say(f"\n{name}, {time.monotonic() - began:.0f} s, {len(found.problems)} promises broken")
        say("\n".join(found.lines))
        problems += [f"{name}: {problem}" for problem in found.problems]
    if problems:
        sys.exit("\n".join([f"promises broken (logs and state are in {folder}):", *problems]))
    shutil.rmtree(folder)


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
