"""Object storage: objects are put below a watched prefix of moto's S3 and written over; each version is a batch."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from common.contracts.batches import BatchReport
from common.contracts.events import EventType
from common.drift.windows import WindowRule
from common.errors import BrokerUnavailable
from common.store import Store
from common.store.client import unavailability
from tests.chaos.decisions import Row
from tests.chaos.world import Expected, Pool, unlike, windows_of_batch, windows_of_singles
from tests.objects import ObjectServer, watching

_STILLS, _CLIPS = "stored-stills", "stored-clips"
_PREFIX = "cameras"


class Stored:
    """A camera that writes objects."""

    role = "objects"
    streams = (_STILLS, _CLIPS)

    def __init__(self, pool: Pool, folder: Path, rule: WindowRule, rng: random.Random) -> None:
        del folder
        self._pool, self._rule, self._rng = pool, rule, rng
        self._server = ObjectServer()
        self._server.start()
        self.environment = watching(self._server, _PREFIX)
        self.expected = Expected()
        self._numbers = itertools.count(1)
        self._versions = Counter[str]()  # by URI
        self._stills: dict[str, tuple[str, bytes]] = {}  # URI -> key, and content
        self._store: Store | None = None

    def table(self, stream: str) -> str:
        return ""

    def begin(self, store: Store) -> None:
        self._store = store

    def feed(self) -> None:
        """Put a new object, write one over with another content or the same, or put what is no image."""
        kind = self._rng.choices(["still", "clip", "another", "same", "no image"], [18, 1, 6, 2, 1])[0]
        number = next(self._numbers)
        if kind == "clip":
            clip, frames = self._rng.choice(self._pool.clean)
            self._put(f"{_CLIPS}/2026/{number:05d}.mp4", unlike(clip, number))
            self.expected.add(_CLIPS, frames, windows_of_batch(frames, self._rule))
        elif kind == "no image":
            self._server.put(f"{_PREFIX}/{_STILLS}/{number:05d}.png", f"no image, number {number}".encode())
            self.expected.poison += 1
        elif kind == "another":
            self._write_over()
        elif kind == "same" and self._stills:
            key, content = self._rng.choice(list(self._stills.values()))
            self._server.put(f"{_PREFIX}/{key}", content)
            self.expected.doubled += 1
        else:
            self._put_still(f"{_STILLS}/{number:05d}.jpg", self._rng.choice(self._pool.images).read_bytes())

    def _write_over(self) -> None:
        """Write another content over an object that was judged: the storage keeps no version that nobody read yet."""
        complete = self._complete()
        judged = [still for uri, still in self._stills.items() if complete[uri] >= self._versions[uri]]
        if judged:
            key, content = self._rng.choice(judged)
            # A comment behind the end of the picture: the same frame, another content.
            self._put_still(key, content + f"take {next(self._numbers)}".encode())

    def _complete(self) -> Counter[str]:
        """Return how many versions of each object were judged; of none while Redis is away."""
        assert self._store is not None
        try:
            with unavailability():
                events = list(self._store.event_log.events())
        except BrokerUnavailable:
            return Counter()
        return Counter(event.report.uri for event in events if event.type is EventType.BATCH_COMPLETE)

    def _put_still(self, key: str, content: bytes) -> None:
        self._stills[self._put(key, content)] = (key, content)
        self.expected.add(_STILLS, 1, 0)

    def _put(self, key: str, content: bytes) -> str:
        uri = self._server.put(f"{_PREFIX}/{key}", content)
        self._versions[uri] += 1
        return uri

    def settle(self) -> bool:
        frames = self.expected.frames.get(_STILLS, 0)
        self.expected.windows[_STILLS] = windows_of_singles(frames, self._rule)
        return True

    def rows(self, reports: Sequence[BatchReport]) -> list[Row]:
        written_over = sum(count - 1 for count in self._versions.values())
        return [
            (f"versions of each object = batches ({written_over} were written over another)",
             dict(sorted(self._versions.items())), dict(sorted(Counter(report.uri for report in reports).items()))),
        ]  # fmt: skip

    def close(self) -> None:
        self._server.stop()
