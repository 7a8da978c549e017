"""MQTT: images and clips are published with QoS 1 to a real mosquitto, with an id of their own or without one."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from common.contracts.batches import BatchReport
from common.contracts.events import FRAME_EVENT, event_key
from common.drift.windows import WindowRule
from common.ingest.accept import event_batch_id
from common.store import Store
from tests.chaos.decisions import Row
from tests.chaos.world import Expected, Pool, windows_of_batch, windows_of_singles
from tests.mosquitto import Broker
from tests.producers.subscribing import NAME, Camera
from tests.served import wait_until

_STILLS, _CLIPS = "published-stills", "published-clips"


class Published:
    """A camera that publishes. A message is a frame by itself; one with the id of an earlier one is that one again."""

    role = "mqtt-in"
    streams = (_STILLS, _CLIPS)

    def __init__(self, pool: Pool, folder: Path, rule: WindowRule, rng: random.Random) -> None:
        self._pool, self._rule, self._rng = pool, rule, rng
        self._broker = Broker(folder / "mosquitto", options=["max_queued_messages 0"])
        self._broker.start()
        self._camera = Camera(self._broker)
        self.environment = {
            "SENTINEL_MQTT_IN_URL": self._broker.url,
            "SENTINEL_MQTT_IN_TOPICS": "cameras/{stream}/frame",
        }
        self.expected = Expected()
        self._numbers = itertools.count(1)
        self._events: list[tuple[dict[str, str], bytes]] = []
        self._nameless = Counter[str]()  # messages without an id, by stream

    def table(self, stream: str) -> str:
        return ""

    def begin(self, store: Store) -> None:
        """Wait for the subscription: what is published before it is nobody's."""
        wait_until("`mqtt-in` has subscribed", lambda: store.mqtt_deliveries.filters(NAME))

    def feed(self) -> None:
        """Publish a frame with an id or without, one again, a clip, or what is no frame."""
        kind = self._rng.choices(["event", "plain", "clip", "again", "no image"], [12, 12, 1, 4, 2])[0]
        if kind == "clip":
            clip, frames = self._rng.choice(self._pool.clean)
            self.expected.add(_CLIPS, frames, windows_of_batch(frames, self._rule))
            self._nameless[_CLIPS] += 1
            self._camera.publish(f"cameras/{_CLIPS}/frame", clip.read_bytes(), content_type="video/mp4")
        elif kind == "no image":
            self._camera.publish(f"cameras/{_STILLS}/frame", b"no image")
        elif kind == "again" and self._events:
            self._publish_event(*self._rng.choice(self._events))
            self.expected.doubled += 1
        elif kind == "plain":
            self.expected.add(_STILLS, 1, 0)
            self._nameless[_STILLS] += 1
            self._camera.publish(f"cameras/{_STILLS}/frame", self._image())
        else:
            self.expected.add(_STILLS, 1, 0)
            attributes = {
                "specversion": "1.0", "id": f"message-{next(self._numbers)}",
                "source": f"/cameras/{quote(_STILLS)}", "type": FRAME_EVENT,
            }  # fmt: skip
            self._events.append((attributes, self._image()))
            self._publish_event(*self._events[-1])

    def _image(self) -> bytes:
        return self._rng.choice(self._pool.images).read_bytes()

    def _publish_event(self, attributes: dict[str, str], image: bytes) -> None:
        self._camera.publish(f"cameras/{_STILLS}/frame", image, content_type="image/jpeg", attributes=attributes)

    def settle(self) -> bool:
        frames = self.expected.frames.get(_STILLS, 0)
        self.expected.windows[_STILLS] = windows_of_singles(frames, self._rule)
        return True

    def rows(self, reports: Sequence[BatchReport]) -> list[Row]:
        named = {event_batch_id(_STILLS, event_key(row["source"], row["id"])) for row, _ in self._events}
        found = {report.batch_id for report in reports}
        others = Counter(report.stream for report in reports if report.batch_id not in named)
        return [
            ("messages with an id that are no batch", set(), named - found),
            ("messages without an id = batches", dict(self._nameless), dict(others)),
        ]

    def close(self) -> None:
        self._camera.stop()
        self._broker.stop()
