"""One subscription at an MQTT broker: each message is acknowledged once what it brings is stored, and not before.

    broker --at most RECEIVE_MAXIMUM unacknowledged--> waiting --one by one--> `take` --> PUBACK

The session is persistent (MQTT 5, a fixed client id), so the broker keeps what comes while nobody is there, and
delivers again what was not acknowledged. While Redis or the spool is full nothing is acknowledged, and the broker holds
the rest back. Only messages of QoS 0, for which MQTT has no acknowledgement, are dropped then, and counted.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import paho.mqtt.client as paho
import redis
from paho.mqtt.enums import MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from common.errors import StillPreparing
from common.mqtt_connection import MqttBroker
from common.printable import printable
from common.store import Store
from producers.entry_reader import may_pass, will_pass
from producers.mqtt_delivery import Delivery, NotAFrame, NotYet, Taker
from producers.spool import SpoolFull

log = logging.getLogger(__name__)

_RECEIVE_MAXIMUM = 8  # messages that the broker sends before one is acknowledged; so many payloads are in memory
_MOST_UNASSURED = 8  # messages of QoS 0 that wait
_KEPT_SECONDS = 7 * 86_400  # for which a broker keeps the session of a subscriber that is away
_PACKET_MARGIN = 2  # times the largest payload: what is a little too large is refused here, by name
_LARGEST_PACKET = 268_435_455  # that MQTT has
_WAIT_SECONDS = 0.5
_PAUSE_SECONDS = 1.0  # while Redis or the spool has no room
_MOST_TRIES = 3  # a message that fails for an unknown reason, or by object storage, is given up after this
_SAY_SECONDS = 10.0  # between two lines about the same trouble
_MOST_SAID = 20  # lines in that time
_SHOWN_TOPIC = 200  # characters of a topic in a line of the log


class Subscriber:
    """One session at a broker. Any number may run, under names of their own.

    Parameters
    ----------
    name : the client id, by which the broker knows the session again
    """

    def __init__(self, broker: MqttBroker, name: str, taker: Taker, store: Store) -> None:
        self._broker = broker
        self._name = name
        self._taker = taker
        self._store = store
        self._lock = threading.Lock()
        self._waiting: list[Delivery] = []
        self._connection = 0
        self._arrived = threading.Event()
        self._anew: bool | None = None  # after a connect until it is noted: whether the broker knew the session
        self._refused = self._dropped = 0
        self._said: dict[str, float] = {}
        self._client = broker.client(name, protocol=MQTTProtocolVersion.MQTTv5, manual_ack=True)
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message

    def run(self, stop: threading.Event, turn: Callable[[], None] = lambda: None) -> None:
        """Take messages until `stop` is set; each turn calls `turn`.

        Raises
        ------
        RuntimeError
            If what reads from the broker has ended, which only an error in it does: its traceback is on standard error.
        """
        session = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        session.SessionExpiryInterval = _KEPT_SECONDS
        session.ReceiveMaximum = _RECEIVE_MAXIMUM
        session.MaximumPacketSize = min(_PACKET_MARGIN * self._taker.most_bytes, _LARGEST_PACKET)
        self._broker.connect(self._client, session=session)
        self._client.loop_start()
        reading = self._client._thread  # nothing public says whether it has ended
        try:
            while not stop.is_set():
                if reading is None or not reading.is_alive():
                    raise RuntimeError(f"nothing reads from the broker at {self._broker.shown} any more")
                turn()
                self.step()
        finally:
            self._client.disconnect()
            self._client.loop_stop()

    def step(self) -> None:
        """Take the message that has waited longest, or wait briefly for one."""
        try:
            self._note_session()
            delivery, seconds = self._next()
            if delivery is None:
                self._arrived.wait(min(seconds, _WAIT_SECONDS))
                self._arrived.clear()
            else:
                self._handle(delivery)
        except Exception as error:
            if not _is_passing(error):
                raise
            self._say("room", f"messages wait at the broker: {str(error) or type(error).__name__}")
            time.sleep(_PAUSE_SECONDS)

    def _next(self) -> tuple[Delivery | None, float]:
        """Return the message that is due, or None and for how many seconds to wait for one."""
        now = time.monotonic()
        with self._lock:
            due = next((delivery for delivery in self._waiting if delivery.due <= now), None)
            return due, min((delivery.due - now for delivery in self._waiting), default=_WAIT_SECONDS)

    def _handle(self, delivery: Delivery) -> None:
        try:
            try:
                self._taker.take(delivery, self._name)
            except (NotAFrame, NotYet):
                raise
            except StillPreparing as error:
                raise NotYet(str(error), _PAUSE_SECONDS) from error
            except Exception as error:
                if _is_passing(error):
                    raise
                if may_pass(error) and delivery.tries < _MOST_TRIES - 1:
                    log.warning("a message on %s failed, trying again", _shown(delivery.topic), exc_info=True)
                    delivery.tries += 1
                    raise NotYet(str(error), _PAUSE_SECONDS) from error
                self._taker.bury(delivery, error)
        except NotYet as error:
            self._say(f"later {error}", f"a message on {_shown(delivery.topic)} waits: {error}")
            delivery.due = time.monotonic() + error.seconds
            return
        except NotAFrame as error:
            self._refused += 1
            self._say(
                f"refused {error}",
                f"a message on {_shown(delivery.topic)} is refused, number {self._refused} since the start: {error}",
            )
        self._acknowledge(delivery)

    def _acknowledge(self, delivery: Delivery) -> None:
        """Let the broker forget a message, unless its connection has ended: then it comes again, and is known."""
        with self._lock:
            if delivery in self._waiting:
                self._waiting.remove(delivery)
            if delivery.identifier is None or delivery.connection != self._connection:
                return
            self._client.ack(delivery.identifier, 1)
        with suppress(redis.RedisError):  # it is overwritten by the next one under this identifier
            self._store.mqtt_deliveries.forget(self._name, delivery.identifier)

    def _note_session(self) -> None:
        """After a connect, end what the broker's session has of earlier settings, and say if the broker lost it."""
        known, wanted = self._anew, set(self._taker.filters)
        if known is None:
            return
        before = self._store.mqtt_deliveries.filters(self._name)
        if before and not known:
            log.warning(
                "the broker at %s does not know this subscriber any more: what was published while nobody was there "
                "is lost; let it keep sessions (mosquitto: `persistence true`)",
                self._broker.shown,
            )
        if gone := before - wanted:
            self._client.unsubscribe(sorted(gone))
        if before != wanted:
            self._store.mqtt_deliveries.note_filters(self._name, wanted)
        self._anew = None

    def _on_connect(
        self, _c: paho.Client, _u: object, flags: paho.ConnectFlags, code: ReasonCode, _p: Properties | None
    ) -> None:
        if code.is_failure:
            self._say(
                "connect", f"the MQTT broker at {self._broker.shown} refuses: {code}; correct {self._broker.setting}"
            )
            return
        # Retained messages were published before; a broker that sends them all the same marks them, see `_on_message`.
        options = SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
        self._client.subscribe([(row, options) for row in self._taker.filters])
        log.info("subscribed to %s at %s", ", ".join(self._taker.filters), self._broker.shown)
        self._anew = flags.session_present

    def _on_connect_fail(self, _c: paho.Client, _u: object) -> None:
        """Say why nobody answers: paho calls this while it handles the error, and does not hand it over."""
        self._say(
            "connect", f"the MQTT broker at {self._broker.shown} cannot be reached: {sys.exc_info()[1]}; trying again"
        )

    def _on_disconnect(
        self, _c: paho.Client, _u: object, _f: paho.DisconnectFlags, code: ReasonCode, _p: Properties | None
    ) -> None:
        with self._lock:
            self._connection += 1
            self._waiting = [delivery for delivery in self._waiting if delivery.identifier is None]
        if code.is_failure:
            self._say("connect", f"the MQTT broker at {self._broker.shown} is away: {code}; trying again")

    def _on_subscribe(
        self, _c: paho.Client, _u: object, _m: int, codes: list[ReasonCode], _p: Properties | None
    ) -> None:
        for row, code in zip(self._taker.filters, codes, strict=False):
            if code.is_failure:
                log.warning("the broker at %s lets nobody read %s: %s", self._broker.shown, row, code)

    def _on_message(self, _c: paho.Client, _u: object, message: paho.MQTTMessage) -> None:
        """Put a message where it waits. It runs in the thread that reads, which an error would end."""
        identifier = message.mid if message.qos else None
        if message.retain:
            if identifier is not None:
                self._client.ack(identifier, message.qos)
            return
        size = len(message.payload)
        properties = message.properties
        delivery = Delivery(
            topic=_topic_of(message),
            payload=bytes(message.payload) if size <= self._taker.most_bytes else b"",
            size=size,
            identifier=identifier,
            again=message.dup,
            content_type=getattr(properties, "ContentType", ""),
            attributes=dict(getattr(properties, "UserProperty", ())),
            arrived_at=time.time(),
            connection=self._connection,
        )
        with self._lock:
            if identifier is None and sum(row.identifier is None for row in self._waiting) >= _MOST_UNASSURED:
                self._dropped += 1
                self._say(
                    "dropped",
                    f"a message of QoS 0 on {_shown(delivery.topic)} is dropped, number {self._dropped} since the "
                    "start: nothing holds such messages back; publish with QoS 1",
                )
                return
            self._waiting.append(delivery)
        self._arrived.set()

    def _say(self, about: str, text: str) -> None:
        """Log a warning, about the same thing not more often than people can read."""
        now = time.monotonic()
        said = {key: until for key, until in self._said.items() if until > now}
        if about in said or len(said) >= _MOST_SAID:  # who sends the messages decides how many reasons there are
            return
        self._said = said | {about: now + _SAY_SECONDS}
        log.warning("%s", printable(text))


def _topic_of(message: paho.MQTTMessage) -> str:
    """Return the topic; one that is no UTF-8 is empty, which no pattern matches."""
    try:
        return message.topic
    except UnicodeDecodeError:
        return ""


def _is_passing(error: Exception) -> bool:
    """Return whether nothing is wrong with the message that met `error`: there is no room, or Redis is away."""
    return isinstance(error, SpoolFull | OSError | redis.RedisError) or will_pass(error)


def _shown(topic: str) -> str:
    return repr(topic[:_SHOWN_TOPIC])
