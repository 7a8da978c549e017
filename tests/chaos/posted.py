"""HTTP: images and clips are posted, each with an id by which it is posted again until it is answered with 202."""

from __future__ import annotations

import http.client
import itertools
import json
import random
import socket
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from common.camera_tokens import add_token
from common.contracts.batches import BatchReport
from common.contracts.events import FRAME_EVENT
from common.drift.windows import WindowRule
from common.store import Store
from sentinel.stack.redis_server import free_port
from tests.chaos.decisions import Row
from tests.chaos.world import Expected, Pool, windows_of_batch, windows_of_singles
from tests.served import wait_until

_STILLS, _CLIPS = "posted/stills", "posted/clips"
_ANSWER_SECONDS = 30.0
_REFUSED_SECONDS = 0.3  # until a camera tries again to which nobody listened
_LATER = frozenset({429, 503})

_Post = tuple[str, str, bytes, dict[str, str]]
"""Stream, id, body, and headers."""


class Posted:
    """A camera that posts. One id is one batch, however often it was posted, and whatever 202 said first."""

    role = "http"
    streams = (_STILLS, _CLIPS)

    def __init__(self, pool: Pool, folder: Path, rule: WindowRule, rng: random.Random) -> None:
        self._pool, self._rule, self._rng = pool, rule, rng
        self._port = free_port()
        tokens = folder / "tokens"
        self._tokens = {stream: add_token(tokens, stream) for stream in self.streams}
        self.environment = {"SENTINEL_HTTP_TOKENS": str(tokens), "SENTINEL_HTTP_PORT": str(self._port)}
        self.expected = Expected()
        self._numbers = itertools.count(1)
        self._posts: list[_Post] = []
        self._answered: dict[str, str] = {}  # id -> batch
        self._again = 0  # posts without an answer, or refused for the moment
        self._other: list[str] = []  # answers that nobody expected

    def table(self, stream: str) -> str:
        return ""

    def begin(self, store: Store) -> None:
        """Wait until it listens, so that it is killed at work; afterwards nobody waits for it."""
        wait_until("`http` listens", self._listens)

    def _listens(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self._port)):
                return True
        except OSError:
            return False

    def feed(self) -> None:
        """Post a new frame or clip, or one that was posted before, or what is none."""
        kind = self._rng.choices(["still", "clip", "again", "no image"], [24, 1, 4, 2])[0]
        if kind == "no image":
            self._refused()
        elif kind == "again" and self._posts:
            self._accepted(self._rng.choice(self._posts))
            self.expected.doubled += 1
        else:
            self._posts.append(self._clip() if kind == "clip" else self._still())
            self._accepted(self._posts[-1])

    def _still(self) -> _Post:
        key, body = f"post-{next(self._numbers)}", self._rng.choice(self._pool.images).read_bytes()
        self.expected.add(_STILLS, 1, 0)
        event = {
            "ce-specversion": "1.0", "ce-id": key, "ce-source": f"/cameras/{quote(_STILLS)}", "ce-type": FRAME_EVENT,
        }  # fmt: skip
        named = self._rng.choice([{"Idempotency-Key": key}, event])
        return _STILLS, key, body, {"Content-Type": "image/jpeg", **named}

    def _clip(self) -> _Post:
        key = f"post-{next(self._numbers)}"
        clip, frames = self._rng.choice(self._pool.clean)
        self.expected.add(_CLIPS, frames, windows_of_batch(frames, self._rule))
        return _CLIPS, key, clip.read_bytes(), {"Content-Type": "video/mp4", "Idempotency-Key": key}

    def _accepted(self, post: _Post) -> None:
        status, answer = self._until_decided(post)
        if status != 202:
            self._other.append(f"{post[1]}: {status} {answer}")
            return
        batch = str(answer["batch"])
        if self._answered.setdefault(post[1], batch) != batch:
            self._other.append(f"{post[1]}: {batch} after {self._answered[post[1]]}")

    def _refused(self) -> None:
        key = f"none-{next(self._numbers)}"
        headers = {"Content-Type": "image/jpeg", "Idempotency-Key": key}
        status, answer = self._until_decided((_STILLS, key, b"no image", headers))
        if status != 415:
            self._other.append(f"{key}: {status} {answer}")

    def _until_decided(self, post: _Post) -> tuple[int, dict[str, object]]:
        """Post until the answer is for good."""
        while True:
            try:
                status, answer, seconds = self._post(post)
            except (OSError, http.client.HTTPException, ValueError):
                status, answer, seconds = 503, {}, _REFUSED_SECONDS
            if status not in _LATER:
                return status, answer
            self._again += 1
            time.sleep(seconds)

    def _post(self, post: _Post) -> tuple[int, dict[str, object], float]:
        """Return status, answer, and after how many seconds it may be tried again."""
        stream, _, body, headers = post
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_ANSWER_SECONDS)
        try:
            own = {"Authorization": f"Bearer {self._tokens[stream]}", **headers}
            connection.request("POST", f"/streams/{quote(stream)}/frames", body, own)
            response = connection.getresponse()
            return response.status, json.loads(response.read()), float(response.getheader("Retry-After") or 0)
        finally:
            connection.close()

    def settle(self) -> bool:
        frames = self.expected.frames.get(_STILLS, 0)
        self.expected.windows[_STILLS] = windows_of_singles(frames, self._rule)
        return True

    def rows(self, reports: Sequence[BatchReport]) -> list[Row]:
        batches = Counter(report.batch_id for report in reports)
        return [
            (f"ids posted = answered with 202 ({self._again} posts were tried again)",
             len(self._posts), len(self._answered)),
            ("batches of a 202 = complete", dict.fromkeys(sorted(self._answered.values()), 1),
             dict(sorted(batches.items()))),
            ("answers that nobody expected", [], self._other),
        ]  # fmt: skip

    def close(self) -> None:
        """It has no server: the stack's process is the server."""
