"""How soon a verdict is seen, how much the page weighs, and how long a large fleet takes to be drawn.

    python -m benchmarks.watching [--verdicts 200] [--streams 500]

A real `sentinel page` over a real Redis. Verdicts are committed as the reducer commits them. The time until one is
seen is from just before its commit until a client of the page's server-sent events has its line. The fleet has 20
verdicts of each stream; it is drawn in a headless Chromium with an empty cache, from the navigation until all its
tiles and their bars stand there. The weight is what that browser received.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks.results import save
from benchmarks.watched import Feed, Listener, environment_of, fresh_redis, get, running, wait_until
from common.contracts.verdicts import Status
from common.settings import Settings
from common.store import Store
from sentinel.stack.redis_server import free_port
from tests.browser import Browser, find_browser, running_browser

_VERDICTS_EACH = 20
_MOST_PAUSE_SECONDS = 0.3
_OPENINGS = 5
_95TH = 0.95


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--verdicts", type=int, default=200, help="whose way to the page is measured")
    parser.add_argument("--streams", type=int, default=500, help="of the fleet that is drawn")
    chosen = parser.parse_args()
    with fresh_redis() as (folder, url):
        figures = measured(folder, url, chosen.verdicts, chosen.streams)
    save("watching", figures)


def measured(folder: Path, url: str, verdicts: int, streams: int) -> dict[str, object]:
    """Return the figures, and print them."""
    settings = Settings(_env_file=None, redis_url=url, state_dir=folder / "state")
    feed, port = Feed(Store(url, settings), settings), free_port()
    names = [f"site{number // 50}/camera {number}" for number in range(streams)]
    for name in names:
        feed.begin(name)
        feed.commit(name, [Status.PASS] * _VERDICTS_EACH)
    with running("page", environment_of(folder, url, SENTINEL_PAGE_PORT=str(port)), folder):
        wait_until("the page", lambda: get(port, "/healthz"))
        delays = sorted(delays_of(feed, port, names, verdicts))
        figures: dict[str, object] = {
            "seen_median_s": statistics.median(delays),
            "seen_95th_s": delays[int(_95TH * (len(delays) - 1))],
            "seen_most_s": delays[-1],
        }
        print(
            f"{len(delays)} verdicts, from before the commit to a client of the page's events: median "
            f"{figures['seen_median_s']:.3f} s, 95th {figures['seen_95th_s']:.3f} s, most {delays[-1]:.3f} s"
        )
        program = find_browser()
        if program is None:
            print("no Chromium here, so nothing is drawn")
            return figures
        with running_browser(program, folder) as browser:
            opened = [drawn(browser, port, streams) for _ in range(_OPENINGS)]
        assets = {url: size for url, size in opened[0][1].items() if "/api/" not in url}
        data = sum(size for url, size in opened[0][1].items() if "/api/" in url)
        figures |= {"page_bytes": sum(assets.values()), "data_bytes": data, "drawn_s": [row[0] for row in opened]}
        print(f"the page: {sum(assets.values())} bytes in {len(assets)} files; its fleet: {data} bytes")
        print(
            f"fleet of {streams} streams with {feed.count} verdicts, from navigation to all drawn: first "
            f"{opened[0][0]:.2f} s, median of {_OPENINGS} {statistics.median(row[0] for row in opened):.2f} s"
        )
    return figures


def delays_of(feed: Feed, port: int, names: list[str], count: int) -> list[float]:
    """Return the seconds until each of some verdicts is seen, which come at random moments."""
    numbers = random.Random(1)
    came: dict[tuple[str, int], float] = {}

    def heard(event: dict[str, Any], at: float) -> None:
        if "stop" in event["about"]:
            came[event["stream"], event["about"]["stop"]] = at

    listener = Listener(port, heard)
    listener.start()
    sent: dict[tuple[str, int], float] = {}
    for _ in range(count):
        time.sleep(numbers.uniform(0.0, _MOST_PAUSE_SECONDS))
        stream = numbers.choice(names)
        began = time.time()
        sent[stream, feed.commit(stream, [Status.PASS])] = began
    wait_until("the last verdict", lambda: len(came) >= count)
    listener.end()
    return [came[key] - began for key, began in sent.items()]


def drawn(browser: Browser, port: int, streams: int) -> tuple[float, dict[str, int]]:
    """Open the page; return the seconds until the whole fleet is drawn, and the bytes received by address."""
    browser.go("about:blank")
    browser.forget_cache()
    browser.size(1280, 900)
    browser.received.clear()
    began = time.monotonic()
    browser.go(f"http://127.0.0.1:{port}/#/")
    browser.wait(f"document.querySelectorAll('.tile canvas.day').length === {streams}")
    browser.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")
    return time.monotonic() - began, dict(browser.received)


if __name__ == "__main__":
    main()
