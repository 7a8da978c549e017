"""What a subscriber remembers of messages that it has not acknowledged, and of its session at the broker."""

from __future__ import annotations

from collections.abc import Collection

import redis

from common.store import keys
from common.store.client import text


class MqttDeliveries:
    """Which message stands behind a packet identifier, so that one that is delivered again is known.

    A broker delivers what was not acknowledged again under the same identifier, and marks it as a duplicate. What it
    does not mark is another message, even if its payload is the same: a camera that is frozen sends equal frames.
    """

    def __init__(self, client: redis.Redis) -> None:
        self.client = client

    def remember(self, subscriber: str, identifier: int, digest: str, at: float) -> None:
        """Note a message before it is accepted.

        Parameters
        ----------
        digest : of its payload
        at : when it came, seconds since the epoch
        """
        self.client.hset(_deliveries(subscriber), str(identifier), f"{digest} {at!r}")

    def arrival(self, subscriber: str, identifier: int, digest: str) -> float | None:
        """Return when a message with this payload came under this identifier; None if none did, or it is forgotten."""
        found = self.client.hget(_deliveries(subscriber), str(identifier))
        known, _, at = text(found).partition(" ") if found is not None else ("", "", "")
        return float(at) if known == digest else None

    def forget(self, subscriber: str, identifier: int) -> None:
        """Let go of a message that was acknowledged."""
        self.client.hdel(_deliveries(subscriber), str(identifier))

    def filters(self, subscriber: str) -> set[str]:
        """Return the topic filters that `note_filters` noted last."""
        return {text(row) for row in self.client.smembers(_filters(subscriber))}

    def note_filters(self, subscriber: str, filters: Collection[str]) -> None:
        """Note the topic filters that the broker's session has now."""
        pipe = self.client.pipeline(transaction=True)
        pipe.delete(_filters(subscriber))
        if filters:
            pipe.sadd(_filters(subscriber), *filters)
        pipe.execute()


def _deliveries(subscriber: str) -> str:
    return keys.MQTT_DELIVERIES_PREFIX + subscriber


def _filters(subscriber: str) -> str:
    return keys.MQTT_FILTERS_PREFIX + subscriber
