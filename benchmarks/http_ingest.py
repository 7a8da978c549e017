"""How many frames per second are taken in over HTTP, while Redis is full in between: is every 202 a batch?

    python -m benchmarks.http_ingest [--seconds 60] [--rate 1000] [--cameras 16] [--size 100000]

A real `sentinel http` over a real Redis. Each camera has a connection of its own and posts at its share of the
rate, or as fast as it is answered. In the middle third of the time Redis is filled until it refuses
to write. A post that is refused is not sent again. At the end each batch that a 202 named is looked for in Redis, and
its file in the spool; and each batch that is there must have been named by exactly one 202.
"""

from __future__ import annotations

import argparse
import asyncio
import http
import math
import multiprocessing
import socket
import time
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.queues import Queue
from pathlib import Path

import cv2
import numpy as np
import redis

from benchmarks.results import save
from benchmarks.watched import batch_files, environment_of, fresh_redis, get, running, wait_until
from common.camera_tokens import add_token
from common.settings import Settings
from common.store import Store
from sentinel.stack.redis_server import free_port
from tests.common.baselines.small import small_baseline

_SENDERS = 2  # processes, so that those who post do not wait for each other's interpreter
_PATIENCE_SECONDS = 120.0
_FILLER_BYTES = 1_000_000
_FULL = (1 / 3, 2 / 3)  # of the time
_LONGEST_ANSWER = 65_536
_BROKEN_OFF = 0
_BACKLOG_SHARE, _FREE_BYTES = 0.75, 100_000_000  # so that Redis is soon filled


@dataclass
class Sent:
    """What one sender was answered: counts by status and by second, the batches of 202s, and times in seconds."""

    answers: Counter[tuple[int, int]] = field(default_factory=Counter)
    batches: list[str] = field(default_factory=list)
    took: list[float] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=1000.0, help="posts per second of all cameras")
    parser.add_argument("--cameras", type=int, default=64)
    parser.add_argument("--size", type=int, default=100_000, help="bytes of a frame")
    chosen = parser.parse_args()
    with fresh_redis() as (folder, url):
        save("http_ingest", measured(folder, url, chosen))


def measured(folder: Path, url: str, chosen: argparse.Namespace) -> dict[str, object]:
    """Return the figures, and print them."""
    settings = Settings(_env_file=None, redis_url=url, state_dir=folder / "state")
    store, port = Store(url, settings), free_port()
    small_baseline(folder / "baselines" / "small")
    names = [f"camera {number}" for number in range(chosen.cameras)]
    tokens = {name: add_token(folder / "tokens", name) for name in names}
    own = environment_of(
        folder,
        url,
        SENTINEL_BASELINES_DIR=str(folder / "baselines"),
        SENTINEL_BASELINE="small",
        SENTINEL_HTTP_PORT=str(port),
        SENTINEL_HTTP_TOKENS=str(folder / "tokens"),
    )
    with running("http", own, folder):
        wait_until("http", lambda: get(port, "/healthz"))
        sent = _posted(store, port, tokens, frame_of(chosen.size), chosen)
        lost, unnamed = _compared(store, names, sent)
    return _told(sent, lost, unnamed, chosen.seconds)


def frame_of(size: int) -> bytes:
    """Return a JPEG of `size` bytes."""
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    jpeg = cv2.imencode(".jpg", noise)[1].tobytes()
    return jpeg[:size].ljust(size, b"\0")


def _posted(store: Store, port: int, tokens: dict[str, str], frame: bytes, chosen: argparse.Namespace) -> Sent:
    """Let all cameras post for the time that was chosen, with Redis full in its middle."""
    spawn = multiprocessing.get_context("spawn")
    answers: Queue[Sent] = spawn.Queue()
    shares = [dict(list(tokens.items())[number::_SENDERS]) for number in range(_SENDERS)]
    room = int(store.client.info("memory")["maxmemory"] * _BACKLOG_SHARE) - _FREE_BYTES
    fillers = _fill(store.client, 0, room)
    begin = time.time() + 5.0  # the senders have started by then
    senders = [
        spawn.Process(
            target=_send, args=(port, share, frame, begin, chosen.seconds, chosen.cameras / chosen.rate, answers)
        )
        for share in shares
        if share
    ]
    for sender in senders:
        sender.start()
    time.sleep(max(0.0, begin + _FULL[0] * chosen.seconds - time.time()))
    fillers = _fill(store.client, fillers)
    print(f"Redis is full after {time.time() - begin:.1f} s")
    time.sleep(max(0.0, begin + _FULL[1] * chosen.seconds - time.time()))
    for number in range(fillers):
        store.client.delete(f"sentinel:filler:{number}")
    print(f"Redis has room again after {time.time() - begin:.1f} s")
    total = Sent()
    for _ in senders:
        one = answers.get(timeout=chosen.seconds + _PATIENCE_SECONDS)
        total.answers.update(one.answers)
        total.batches += one.batches
        total.took += one.took
    for sender in senders:
        sender.join(_PATIENCE_SECONDS)
    return total


def _fill(client: redis.Redis, number: int, most: float = math.inf) -> int:
    """Write values from `number` on until Redis refuses, or they have `most` bytes; return the number of the next."""
    while number * _FILLER_BYTES < most:
        try:
            client.set(f"sentinel:filler:{number}", bytes(_FILLER_BYTES))
        except redis.exceptions.OutOfMemoryError:
            break
        number += 1
    return number


def _send(
    port: int, tokens: dict[str, str], frame: bytes, begin: float, seconds: float, pause: float, answers: Queue[Sent]
) -> None:
    """Let each camera post once per `pause` seconds on a connection of its own, all at a time."""
    sent = Sent()

    async def all_cameras() -> None:
        await asyncio.sleep(max(0.0, begin - time.time()))
        cameras = [_Camera(port, name, token) for name, token in tokens.items()]
        await asyncio.gather(*(one.run(frame, begin, seconds, pause, sent) for one in cameras))

    asyncio.run(all_cameras())
    answers.put(sent)


class _Camera:
    """A camera's connection, opened again when the server closed it."""

    def __init__(self, port: int, name: str, token: str) -> None:
        self._name = name
        self._port = port
        self._head = (
            f"POST /streams/{name.replace(' ', '%20')}/frames HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Content-Type: image/jpeg\r\nAuthorization: Bearer {token}\r\n"
        )
        self._socket: socket.socket | None = None

    async def run(self, frame: bytes, begin: float, seconds: float, pause: float, sent: Sent) -> None:
        """Post until the time is over; what could not be sent when it was due, as no answer had come, is left out."""
        turn = 0
        while (now := time.time()) < begin + seconds:
            if begin + turn * pause > now:
                await asyncio.sleep(begin + turn * pause - now)
            turn = max(turn + 1, int((time.time() - begin) / pause))
            sent_at = time.time()
            try:
                status, batch = await self._post(frame, f"{self._name}-{turn}")
            except OSError:
                status, batch, self._socket = _BROKEN_OFF, "", None
            sent.answers[int(sent_at - begin), status] += 1
            sent.took.append(time.time() - sent_at)
            if status == http.HTTPStatus.ACCEPTED:
                sent.batches.append(batch)

    async def _post(self, frame: bytes, key: str) -> tuple[int, str]:
        """Return the status of the answer, and the batch's id if there is one."""
        loop = asyncio.get_running_loop()
        if self._socket is None:
            self._socket = socket.socket()
            self._socket.setblocking(False)
            await loop.sock_connect(self._socket, ("127.0.0.1", self._port))
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head = f"{self._head}Idempotency-Key: {key}\r\nContent-Length: {len(frame)}\r\n\r\n"
        await loop.sock_sendall(self._socket, head.encode() + frame)
        read = b""
        while b"}" not in read:
            more = await loop.sock_recv(self._socket, _LONGEST_ANSWER)
            if not more:
                raise ConnectionError
            read += more
        if b"connection: close" in read.lower():
            self._socket.close()
            self._socket = None
        _, _, batch = read.partition(b'"batch":"')
        return int(read.split(b" ", 2)[1]), batch.partition(b'"')[0].decode()


def _compared(store: Store, names: list[str], sent: Sent) -> tuple[int, int]:
    """Return how many 202s named no batch whose file is there, and how many batches were named by no or several."""
    found: Counter[str] = Counter()
    for batch_id, file in batch_files(store, names):
        if file.is_file():
            found[batch_id] += 1
    named = Counter(sent.batches)
    lost = sum(count for batch, count in named.items() if found[batch] != 1)
    return lost, sum(named[batch] != 1 for batch in found)


def _told(sent: Sent, lost: int, unnamed: int, seconds: float) -> dict[str, object]:
    by_status: Counter[int] = Counter()
    for (_, status), count in sent.answers.items():
        by_status[status] += count
    total, took = by_status.total(), sorted(sent.took)
    print(f"{total} posts in {seconds:.0f} s, {total / seconds:.0f} per second; answered:")
    for status, count in sorted(by_status.items()):
        print(f"  {status or 'broken off'}: {count}, {count / seconds:.0f} per second")
    third = seconds / 3
    for name, first in (("before", 0.0), ("while Redis is full", third), ("afterwards", 2 * third)):
        part: Counter[int] = Counter()
        for (second, status), count in sent.answers.items():
            if first <= second < first + third:
                part[status] += count
        print(
            f"  {name}: "
            + ", ".join(f"{count / third:.0f} per second {status}" for status, count in sorted(part.items()))
        )
    median, most = took[len(took) // 2], took[-1]
    print(f"an answer takes {median * 1000:.0f} ms (median), at most {most:.2f} s")
    print(
        f"of {len(sent.batches)} 202s {lost} are not one batch with its file; of the batches {unnamed} had not one 202"
    )
    return {
        "posts_per_s": total / seconds,
        "answers": {str(status): count for status, count in by_status.items()},
        "accepted_per_s": by_status[202] / seconds,
        "lost": lost,
        "unnamed": unnamed,
        "median_s": median,
        "most_s": most,
    }


if __name__ == "__main__":
    main()
