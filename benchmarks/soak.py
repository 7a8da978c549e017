"""Watching under load: does memory stay flat, is every event seen once, is every incident told once?

    python -m benchmarks.soak [--seconds 300] [--streams 40] [--per-minute 10000]

Verdicts are put through the store as the reducer commits them, over a real Redis. `sentinel alerts` (to a webhook on
loopback), `mqtt` (to a real mosquitto, if there is one), `metrics` (scraped) and `page` are real processes. On each
stream an incident opens and closes again. alerts and mqtt are killed (SIGKILL) twice and started again; a client of the
page's events is cut off several times, and comes back after the last event that it saw. At the end there is time for
what waits: alerts that a killed process had taken come again after three minutes.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import paho.mqtt.client as paho
import psutil
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.results import save
from benchmarks.watched import Feed, Listener, environment_of, fresh_redis, get, start, wait_until
from common.contracts.events import IncidentClosed, IncidentOpened
from common.contracts.verdicts import Status
from common.settings import Settings
from common.store import Store, keys
from common.store.client import text
from sentinel.stack.redis_server import free_port

_KILLED = ("alerts", "mqtt")
_KILLS = (0.04, 0.09)  # shares of the time; well before the first look at memory, so that it is of one process
_LOOKS = (0.2, 0.6, 1.0)
_CUTS = (0.1, 0.25, 0.45, 0.7, 0.9)
_FAILS_FOR = 0.3  # share of the time that an incident lasts
_OPENINGS = (0.03, 0.6)
_IN_ONE_COMMIT = 8  # the reducer commits the windows of up to 16 chunks
_SCRAPE_SECONDS = 5.0
_SETTLE_SECONDS = 240.0
_QUIET_SECONDS = 3.0


@dataclass
class Heard:
    """What receivers got.

    Attributes
    ----------
    alerts : (incident, change) -> how often each id of an alert came
    states : stream -> the incidents that its retained state told of, each time another one than before
    """

    alerts: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    states: dict[str, list[str | None]] = field(default_factory=dict)

    def alert(self, body: bytes) -> None:
        told = json.loads(body)
        self.alerts.setdefault((told["incident"], told["change"]), Counter())[told["id"]] += 1

    def state(self, payload: bytes) -> None:
        told = json.loads(payload)
        known = self.states.setdefault(told["stream"], [])
        if not known or known[-1] != told["incident"]:
            known.append(told["incident"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--streams", type=int, default=40, help="each has one incident")
    parser.add_argument("--per-minute", type=int, default=10_000, help="verdicts of all streams together")
    chosen = parser.parse_args()
    with fresh_redis() as (folder, url):
        figures = soaked(folder, url, chosen.seconds, chosen.streams, chosen.per_minute / 60.0)
    save("soak", figures)


def soaked(folder: Path, url: str, seconds: float, streams: int, per_second: float) -> dict[str, object]:
    """Run it; return the figures, and print them."""
    settings = Settings(_env_file=None, redis_url=url, state_dir=folder / "state")
    store, heard = Store(url, settings), Heard()
    feed = Feed(store, settings)
    names = [f"site{number // 10}/camera {number}" for number in range(streams)]
    for name in names:
        feed.begin(name)
        feed.commit(name, [Status.PASS])
    with webhook(heard) as hook, mosquitto(folder, heard) as broker:
        page, metrics = free_port(), free_port()
        environment = environment_of(
            folder, url, SENTINEL_PAGE_PORT=str(page), SENTINEL_METRICS_PORT=str(metrics),
            SENTINEL_ALERT_WEBHOOKS=hook, SENTINEL_ALERT_DELAY_SECONDS="1",
            **({"SENTINEL_MQTT_URL": broker} if broker else {}),
        )  # fmt: skip
        wanted = ["alerts", "metrics", "page", *(["mqtt"] if broker else [])]
        processes = {command: start(command, environment, folder) for command in wanted}
        try:
            wait_until("the page", lambda: get(page, "/readyz"))
            wait_until("the metrics", lambda: get(metrics, "/metrics"))
            listener = Listener(page)
            listener.start()
            began_at = listener.after
            rows = driven(feed, names, seconds, per_second, listener, processes, environment, folder, metrics)
            rate = rows.pop("rate")
            settled(store, listener, heard)
            listener.end()
        finally:
            for process in processes.values():
                process.terminate()
                process.wait(60)
    return told(store, feed, listener, began_at, heard, rows, rate, broker=bool(broker))


def driven(
    feed: Feed,
    names: list[str],
    seconds: float,
    per_second: float,
    listener: Listener,
    processes: dict[str, subprocess.Popen[bytes]],
    environment: dict[str, str],
    folder: Path,
    metrics: int,
) -> dict[str, list[float]]:
    """Commit verdicts for `seconds`, kill, cut and look; return resident MB of each process at the looks, and under
    `rate` the verdicts per minute that were reached."""
    numbers = random.Random(1)
    opens = {name: numbers.uniform(*_OPENINGS) for name in names}
    kills, looks, cuts = list(_KILLS), list(_LOOKS), list(_CUTS)
    found: dict[str, list[float]] = {command: [] for command in processes}
    began, before, scraped, turn = time.monotonic(), feed.count, 0.0, 0
    while (gone := time.monotonic() - began) < seconds:
        share = gone / seconds
        if kills and share > kills[0]:
            kills.pop(0)
            for command in _KILLED:
                if command in processes:
                    processes[command].kill()
                    processes[command].wait()
                    processes[command] = start(command, environment, folder)
        if cuts and share > cuts[0]:
            cuts.pop(0)
            listener.cut()
        if looks and share > looks[0]:
            looks.pop(0)
            look(processes, found)
        if gone > scraped + _SCRAPE_SECONDS:
            scraped = gone
            threading.Thread(target=get, args=(metrics, "/metrics"), daemon=True).start()
        if feed.count - before > gone * per_second:
            time.sleep(0.005)
            continue
        name = names[turn % len(names)]
        turn += 1
        fails = opens[name] <= share < opens[name] + _FAILS_FOR
        feed.commit(name, [Status.FAIL if fails else Status.PASS] * _IN_ONE_COMMIT)
    found["rate"] = [60.0 * (feed.count - before) / (time.monotonic() - began)]
    look(processes, found)
    return found


def look(processes: dict[str, subprocess.Popen[bytes]], found: dict[str, list[float]]) -> None:
    """Note the resident MB of each process."""
    for command, process in processes.items():
        found[command].append(psutil.Process(process.pid).memory_info().rss / 1e6)


def settled(store: Store, listener: Listener, heard: Heard) -> None:
    """Wait until nothing is on its way any more, or for as long as a taken alert stays away."""
    last = store.event_log.last_id()
    wait_until("the listener", lambda: listener.after == last, _SETTLE_SECONDS)
    wait_until("the consumers", lambda: not any(is_behind(store, group, last) for group in _KILLED), _SETTLE_SECONDS)
    wait_until("the alerts", lambda: not store.alerts.waiting(), _SETTLE_SECONDS)
    seen = -1
    while seen != (seen := sum(map(len, heard.states.values())) + len(heard.alerts)):
        time.sleep(_QUIET_SECONDS)


def is_behind(store: Store, group: str, last: str) -> bool:
    """Return whether a consumer group has still to read, or to acknowledge; False if there is no such group."""
    for row in store.client.xinfo_groups(keys.EVENTS):
        if text(row["name"]) == group:
            return bool(row["pending"]) or text(row["last-delivered-id"]) != last
    return False


def told(
    store: Store,
    feed: Feed,
    listener: Listener,
    began_at: str,
    heard: Heard,
    rss: dict[str, list[float]],
    rate: list[float],
    *,
    broker: bool,
) -> dict[str, object]:
    """Return the figures, and print them."""
    events = list(store.event_log.events(after=began_at))
    entries = {event.entry_id for event in events}
    opened = [event.incident.id for event in events if isinstance(event, IncidentOpened)]
    closed = [event.incident.id for event in events if isinstance(event, IncidentClosed)]
    lost = entries - set(listener.seen)
    twice = [at for at, count in listener.seen.items() if count > 1]
    figures: dict[str, object] = {
        "verdicts": feed.count, "verdicts_per_minute": rate[0], "rss_mb": rss, "events": len(entries),
        "lost": len(lost), "twice": len(twice), "resets": listener.resets, "reconnects": listener.reconnects,
        "opened": len(opened), "closed": len(closed),
    }  # fmt: skip
    print(f"{feed.count} verdicts, {rate[0]:.0f} a minute; incidents: {len(opened)} opened, {len(closed)} closed\n")
    print("| process | RSS MB at 20% | at 60% | at the end | growth from 60% to the end |\n|---|---|---|---|---|")
    for command, values in rss.items():
        print(f"| {command} | {' | '.join(f'{value:.1f}' for value in values)} | {values[-1] - values[1]:+.1f} |")
    print(
        f"\npage: {len(entries)} events, {len(lost)} lost, {len(twice)} twice, {listener.resets} resets, over "
        f"{listener.reconnects} connections"
    )
    for change, of in (("began", opened), ("over", closed)):
        ids = [heard.alerts.get((incident, change), Counter()) for incident in of]
        once = sum(len(row) == 1 for row in ids)
        never = sum(not row for row in ids)
        repeats = sum(sum(row.values()) - len(row) for row in ids)
        print(
            f"alerts, {change}: of {len(of)} incidents {once} told by one id, {never} not, "
            f"{sum(len(row) > 1 for row in ids)} by several; {repeats} sent again under the same id"
        )
        figures[f"alerts_{change}"] = {"once": once, "never": never, "repeats": repeats}
    if broker:
        shown = Counter(row for states in heard.states.values() for row in states if row is not None)
        figures["mqtt"] = {
            "once": sum(shown[row] == 1 for row in opened),
            "never": sum(not shown[row] for row in opened),
        }
        ended = sum(bool(states) and states[-1] is None for states in heard.states.values())
        several = sum(shown[row] > 1 for row in opened)
        print(
            f"mqtt: of {len(opened)} incidents {once} shown in one stretch, {never} never, {several} in several; "
            f"{ended} of {len(heard.states)} streams without one at the end"
        )
    else:
        print("no mosquitto here, so nothing was told over MQTT")
    return figures


@contextmanager
def webhook(heard: Heard) -> Iterator[str]:
    """Run a receiver of alerts on loopback; yield its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.alert(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def mosquitto(folder: Path, heard: Heard) -> Iterator[str]:
    """Run a broker and listen to it; yield its address, empty where the machine has none."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if program is None:
        yield ""
        return
    port = free_port()
    (folder / "mosquitto.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    with (folder / "mosquitto.log").open("wb") as log:
        process = subprocess.Popen([program, "-c", str(folder / "mosquitto.conf")], stdout=log, stderr=log)
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.on_connect = lambda one, *_: one.subscribe("sentinel/+/state", qos=1)
    client.on_message = lambda _c, _u, message: heard.state(bytes(message.payload)) if message.payload else None
    client.reconnect_delay_set(1, 1)
    client.connect_async("127.0.0.1", port)
    client.loop_start()
    try:
        wait_until("mosquitto", client.is_connected)
        yield f"mqtt://127.0.0.1:{port}"
    finally:
        client.disconnect()
        client.loop_stop()
        process.terminate()
        process.wait(60)


if __name__ == "__main__":
    main()
