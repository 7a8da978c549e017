"""Which streams are told of over MQTT: their retained topics have to be emptied once they are forgotten."""

from __future__ import annotations

from collections.abc import Collection

import redis

from common.store import keys
from common.store.client import text


class MqttStreams:
    """The names of streams that have retained topics."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client

    def known(self) -> set[str]:
        return {text(name) for name in self.client.smembers(keys.MQTT_STREAMS)}

    def add(self, stream: str) -> None:
        self.client.sadd(keys.MQTT_STREAMS, stream)

    def replace(self, streams: Collection[str]) -> None:
        """Let these be all."""
        pipe = self.client.pipeline()
        pipe.delete(keys.MQTT_STREAMS)
        if streams:
            pipe.sadd(keys.MQTT_STREAMS, *streams)
        pipe.execute()
