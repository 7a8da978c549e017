"""The process `mqtt-in`: frames come over MQTT, and with Frigate's events from its HTTP API.

    topics of SENTINEL_MQTT_IN_TOPICS  --payload----------------------------------->  spool  -->  embed
    Frigate's events                   --id-->  /api/events/ID/snapshot.jpg  ------>

Each of the two is a session of its own at the broker, in a thread of its own: a slow Frigate delays nobody else.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing

from common import broker
from common.ingest.accept import Ingestor
from common.mqtt_connection import MqttBroker, broker_of_frames
from common.settings import Settings
from common.store import Store, open_store
from producers.frigate import FrigateEvents
from producers.mqtt_delivery import Taker
from producers.mqtt_frames import MqttFrames
from producers.mqtt_subscriber import Subscriber
from producers.spool import Spool
from producers.spooled import keep_swept, open_spool

_TURN_SECONDS = 1.0
_PATIENCE_SECONDS = 120.0  # of one message: longer than whatever is done with one may take
_STOP_SECONDS = 4.0

MakeTaker = Callable[[Settings, Ingestor, Spool], Taker]


class _Reader(threading.Thread):
    """A subscriber in its thread, with an ingestor of its own."""

    def __init__(
        self, name: str, make: MakeTaker, settings: Settings, broker: MqttBroker, spool: Spool, stop: threading.Event
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._make = make
        self._settings = settings
        self._broker = broker
        self._spool = spool
        self._stop_event = stop
        self._turned_at = time.monotonic()
        self.error: BaseException | None = None

    @property
    def is_well(self) -> bool:
        return self.is_alive() and time.monotonic() < self._turned_at + _PATIENCE_SECONDS

    def run(self) -> None:
        try:
            store = open_store(self._settings)
            with closing(Ingestor(self._settings, store)) as ingestor:
                taker = self._make(self._settings, ingestor, self._spool)
                Subscriber(self._broker, self.name, taker, store).run(self._stop_event, self._turn)
        except BaseException as error:
            self.error = error

    def _turn(self) -> None:
        self._turned_at = time.monotonic()


def main(settings: Settings, stop: threading.Event, beat: Callable[[], None]) -> None:
    """Take in what comes until `stop` is set; where nothing is subscribed to there is nothing to do but wait."""
    takers = _takers(settings)
    if not takers:
        while not stop.wait(_TURN_SECONDS):
            beat()
        return
    address = broker_of_frames(settings)
    broker.connect_to(settings.redis_url or "")
    spool = open_spool(settings)
    store: Store = open_store(settings)
    threading.Thread(target=keep_swept, args=(spool, store, stop), daemon=True).start()
    readers = [_Reader(name, make, settings, address, spool, stop) for name, make in takers.items()]
    for reader in readers:
        reader.start()
    while not stop.wait(_TURN_SECONDS):
        for reader in readers:
            if reader.error is not None:
                raise reader.error
        if all(reader.is_well for reader in readers):
            beat()
    for reader in readers:
        reader.join(_STOP_SECONDS)


def _takers(settings: Settings) -> dict[str, MakeTaker]:
    """Return what is subscribed to, by the name of its session at the broker."""
    found: dict[str, MakeTaker] = {}
    if settings.mqtt_in_topics:
        found[f"{settings.mqtt_in_client}-frames"] = MqttFrames
    if settings.frigate_url:
        found[f"{settings.mqtt_in_client}-frigate"] = FrigateEvents
    return found
