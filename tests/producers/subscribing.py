"""What publishes to a real mosquitto, and what subscribes there, for tests of MQTT in."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from common.contracts.batches import FrameBatch
from common.mqtt_connection import broker_of_frames
from common.settings import Settings
from common.store import Store, keys
from producers.mqtt_delivery import Taker
from producers.mqtt_subscriber import Subscriber
from tests.mosquitto import PASSWORD, USER, Broker
from tests.served import wait_until

NAME = "sentinel-frames"


class Camera:
    """Publishes with QoS 1, and waits until the broker has it."""

    def __init__(self, broker: Broker) -> None:
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.username_pw_set(USER, PASSWORD)
        self._client.reconnect_delay_set(1, 1)
        self._client.connect_async("127.0.0.1", broker.port)
        self._client.loop_start()
        wait_until("the camera is connected", self._client.is_connected)

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 1,
        retain: bool = False,
        content_type: str | None = None,
        attributes: dict[str, str] | None = None,
    ) -> None:
        properties = Properties(PacketTypes.PUBLISH)
        if content_type is not None:
            properties.ContentType = content_type
        if attributes:
            properties.UserProperty = list(attributes.items())
        published = self._client.publish(topic, payload, qos=qos, retain=retain, properties=properties)
        published.wait_for_publish(30)
        assert published.is_published()

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@contextmanager
def subscribed(settings: Settings, taker: Taker, store: Store, name: str = NAME) -> Iterator[Subscriber]:
    """Run a subscriber in a thread until the context ends."""
    subscriber = Subscriber(broker_of_frames(settings), name, taker, store)
    stop = threading.Event()
    thread = threading.Thread(target=subscriber.run, args=(stop,))
    thread.start()
    try:
        wait_until("it is subscribed", lambda: store.mqtt_deliveries.filters(name) == set(taker.filters))
        yield subscriber
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()


def registered(store: Store, stream: str) -> dict[str, FrameBatch]:
    prefix = keys.stream_key(stream, "batch", "")
    found = {key.decode().removeprefix(prefix): key for key in store.client.keys(f"{prefix}*".replace("{", "?"))}
    return {name: FrameBatch.from_json(store.client.hget(key, "message")) for name, key in found.items()}


def count(store: Store, stream: str) -> int:
    return len(registered(store, stream))
