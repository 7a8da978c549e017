"""Says over MQTT how each stream is doing, with discovery for Home Assistant.

    sentinel:events  --a stream has changed-->  streams to tell of  --its state now, from Redis-->  retained topics

What is published is the state as it is, retained, not the change: whoever comes later sees it, and a process that was
killed publishes the same again. When it is connected anew it publishes everything, as the broker may have forgotten.

    TOPIC/status                    `online` or `offline`, of this process, by last will
    TOPIC/STREAM/availability       the same of the camera
    TOPIC/STREAM/state              JSON, see `StreamState`
    TOPIC/STREAM/picture            JPEG of what it saw last; empty if none is kept
"""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import paho.mqtt.client as paho
from paho.mqtt.reasoncodes import ReasonCode

from common.contracts.events import Event
from common.contracts.ids import content_id
from common.contracts.incidents import IncidentState
from common.contracts.verdicts import Status
from common.mqtt_connection import MqttBroker, mqtt_broker
from common.printable import printable
from common.queries import StreamStatus, stream_status
from common.settings import Settings
from common.store import Store, open_store
from consumers.listener import Listener, keep_running

log = logging.getLogger(__name__)

GROUP = "mqtt"
"""The consumer group."""

ONLINE, OFFLINE = "online", "offline"
_QOS = 1
_ANSWER_SECONDS = 5.0  # for the broker to take what was published of a few streams
_AT_ONCE = 20  # streams whose messages are on their way together: what a slow broker does not take is not piled up
_EVERYTHING_SECONDS = 300.0  # how often all streams are looked at, for those that were forgotten
_PLAIN = re.compile(r"(?!.*-[0-9a-f]{8}$)[A-Za-z0-9_-]{1,60}")  # names that end like a digest get one too
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9_-]+")


class Mqtt:
    """One process that publishes. More than one publish the same.

    The broker says `offline` for each process that dies; one that lives hears it, and says that Sentinel is there.

    Parameters
    ----------
    url : mqtt://user:password@host:port, or mqtts:// for TLS
    """

    def __init__(self, store: Store, url: str) -> None:
        self._store = store
        self._topic = store.settings.mqtt_topic.strip("/")
        self._discovery = store.settings.mqtt_discovery.strip("/")
        self._listener = Listener(store, GROUP, self._note)
        self._changed: set[str] = set()
        self._connected = threading.Event()
        self._undiscovered: set[str] = set()
        self._anew = threading.Event()
        self._denied = threading.Event()  # somebody has said that nobody is there
        self._everything_at = time.monotonic()
        self._open: list[paho.MQTTMessageInfo] = []  # what the broker has not taken yet
        broker = mqtt_broker(url, "SENTINEL_MQTT_URL", store.settings)
        self._client = _client(broker, self._topic, self._on_connect, self._on_disconnect, self._denied)

    def start(self) -> None:
        """Begin to connect, and go on trying by itself."""
        self._client.loop_start()

    def stop(self) -> None:
        """Say that nothing more comes, and disconnect."""
        if self._connected.is_set():
            self._publish([(f"{self._topic}/status", OFFLINE)])
        self._client.disconnect()
        self._client.loop_stop()

    def step(self) -> int:
        """Read what has changed, and publish it; return how many events were read."""
        read = self._listener.step()
        if not self._connected.is_set():
            return read
        now = time.monotonic()
        if self._anew.is_set() or now > self._everything_at + _EVERYTHING_SECONDS:
            self._anew.clear()
            self._everything_at = now
            if not self._begin_anew():
                self._anew.set()
                return read
        if self._denied.is_set():
            self._denied.clear()
            if not self._publish([(f"{self._topic}/status", ONLINE)]):
                self._denied.set()
                return read
        changed = sorted(self._changed)[:_AT_ONCE]
        if changed and self._publish(self._messages_of(changed)):
            self._changed -= set(changed)
            self._undiscovered -= set(changed)
        return read

    def _note(self, event: Event) -> None:
        if event.stream:
            self._changed.add(event.stream)

    def _begin_anew(self) -> bool:
        """Say that it is there, empty what was retained of forgotten streams, and let all others be told of."""
        names = set(self._store.streams.names())
        gone = self._store.mqtt_streams.known() - names
        rows: list[tuple[str, str | bytes]] = [(f"{self._topic}/status", ONLINE)]
        rows += [(topic, "") for stream in sorted(gone) for topic in self._topics_of(stream)]
        if not self._publish(rows):
            return False
        self._store.mqtt_streams.replace(names)
        self._changed |= names
        self._undiscovered |= names
        return True

    def _messages_of(self, streams: Sequence[str]) -> list[tuple[str, str | bytes]]:
        """Return topics and payloads that say how some streams are doing."""
        known, told, now = set(self._store.streams.names()), self._store.mqtt_streams.known(), time.time()
        chosen = [stream for stream in streams if stream in known]
        latest = self._store.pictures.latest(chosen)
        rows: list[tuple[str, str | bytes]] = []
        for stream in chosen:
            if stream not in told or stream in self._undiscovered:
                rows += self._discovery_of(stream)
                self._store.mqtt_streams.add(stream)
            status = stream_status(self._store, stream, now)
            at = f"{self._topic}/{level(stream)}"
            silent = any(row.state is IncidentState.OFFLINE for row in status.incidents)
            picture = self._store.pictures.jpeg(stream, latest[stream]) if stream in latest else None
            rows += [
                (f"{at}/availability", OFFLINE if silent else ONLINE),
                (f"{at}/state", json.dumps(state_of(status))),
                (f"{at}/picture", picture or b""),
            ]
        return rows

    def _discovery_of(self, stream: str) -> list[tuple[str, str | bytes]]:
        """Return what makes Home Assistant show a stream; nothing if discovery is off."""
        return [(topic, json.dumps(about)) for topic, about in self._entities(stream).items()]

    def _topics_of(self, stream: str) -> list[str]:
        at = f"{self._topic}/{level(stream)}"
        return [*(f"{at}/{part}" for part in ("availability", "state", "picture")), *self._entities(stream)]

    def _entities(self, stream: str) -> dict[str, dict[str, object]]:
        """Return Home Assistant's entities of a stream, by the topic of their configuration."""
        if not self._discovery:
            return {}
        at, own = f"{self._topic}/{level(stream)}", content_id("mqtt", self._topic, stream)[:16]
        name = printable(stream)
        shared: dict[str, object] = {
            "availability": [{"topic": f"{self._topic}/status"}],
            "device": {"identifiers": [f"sentinel_{own}"], "name": name, "manufacturer": "Sentinel"},
        }
        state = {"state_topic": f"{at}/state", "json_attributes_topic": f"{at}/state"}
        rows: dict[tuple[str, str], dict[str, object]] = {
            ("binary_sensor", "problem"): {
                **state,
                "name": "drift",
                "device_class": "problem",
                "value_template": "{{ 'ON' if value_json.status in ['FAIL', 'OFFLINE'] else 'OFF' }}",
            },
            ("sensor", "cause"): {"state_topic": f"{at}/state", "name": "cause", "value_template": _of("cause")},
            ("sensor", "score"): {
                "state_topic": f"{at}/state",
                "name": "drift score",
                "state_class": "measurement",
                "value_template": _of("drift_score"),
            },
            ("image", "picture"): {"image_topic": f"{at}/picture", "name": "latest picture"},
        }
        return {
            f"{self._discovery}/{kind}/sentinel_{own}/{what}/config": {
                **about,
                **shared,
                "unique_id": f"sentinel_{own}_{what}",
            }
            for (kind, what), about in rows.items()
        }

    def _publish(self, rows: Sequence[tuple[str, str | bytes]]) -> bool:
        """Publish retained messages; return whether the broker took them all.

        While it has not taken those of before, nothing is added to them: a slow broker sets the pace.
        """
        if not self._all_taken():
            return False
        self._open = [self._client.publish(topic, payload, qos=_QOS, retain=True) for topic, payload in rows]
        return self._all_taken()

    def _all_taken(self) -> bool:
        deadline = time.monotonic() + _ANSWER_SECONDS
        for one in self._open:
            with suppress(RuntimeError, ValueError):  # it is not connected, or its queue is full
                one.wait_for_publish(max(deadline - time.monotonic(), 0.01))
        self._open = [one for one in self._open if not _is_taken(one)]
        return not self._open

    def _on_connect(self, ok: bool, why: str) -> None:
        if ok:
            self._anew.set()
            self._connected.set()
        else:
            log.warning("the MQTT broker refuses: %s; correct SENTINEL_MQTT_URL", why)

    def _on_disconnect(self, why: str) -> None:
        if self._connected.is_set():
            log.warning("the MQTT broker is away: %s; trying again", why)
        self._connected.clear()


def state_of(status: StreamStatus) -> dict[str, object]:
    """Return what topic `state` says: `status` is PASS, FAIL, OFFLINE, or null before the first verdict."""
    worst = status.incidents[0] if status.incidents else None
    silent = worst is not None and worst.state is IncidentState.OFFLINE and status.status is not Status.FAIL
    return {
        "stream": printable(status.stream),
        "status": "OFFLINE" if silent else status.status.value if status.status else None,
        "drift_score": status.drift_score,
        "p_value": status.p_value,
        "cause": worst.cause.value if worst else status.cause,
        "confirmed": status.confirmed,
        "incident": worst.id if worst else None,
        "incident_state": worst.state.value if worst else None,
        "since": worst.since_time if worst else None,
        "acknowledged_by": printable(worst.acknowledged_by) if worst and worst.acknowledged_by else None,
        "muted": worst.muted if worst else False,
    }


def level(stream: str) -> str:
    """Return a stream's name as one level of a topic: names with other signs than letters and digits get a digest.

    Examples
    --------
    >>> level("cam7"), level("site/#")
    ('cam7', 'site-5780e54a')
    """
    if _PLAIN.fullmatch(stream):
        return stream
    return f"{_NOT_PLAIN.sub('-', stream).strip('-')[:40] or 'stream'}-{content_id('stream', stream)[:8]}"


def _is_taken(message: paho.MQTTMessageInfo) -> bool:
    """Return whether the broker has a message, or never will, because it could not be queued."""
    try:
        return bool(message.is_published())
    except (RuntimeError, ValueError):
        return message.rc == paho.MQTT_ERR_QUEUE_SIZE


def _of(field: str) -> str:
    return f"{{{{ value_json.{field} }}}}"


def _client(
    broker: MqttBroker,
    topic: str,
    on_connect: Callable[[bool, str], None],
    on_disconnect: Callable[[str], None],
    denied: threading.Event,
) -> paho.Client:
    """Return a client that is about to connect.

    Parameters
    ----------
    denied : is set when the broker is told that no process is there
    """
    client = broker.client()
    client.will_set(f"{topic}/status", OFFLINE, qos=_QOS, retain=True)

    def connected(_c: paho.Client, _u: object, _f: object, code: ReasonCode, _p: object) -> None:
        if not code.is_failure:
            client.subscribe(f"{topic}/status", qos=_QOS)
        on_connect(not code.is_failure, str(code))

    def heard(_c: paho.Client, _u: object, message: paho.MQTTMessage) -> None:
        if message.payload == OFFLINE.encode():
            denied.set()

    client.on_connect, client.on_message = connected, heard
    client.on_disconnect = lambda _c, _u, _f, code, _p: on_disconnect(str(code))
    broker.connect(client)
    return client


def main(settings: Settings, stop: threading.Event, beat: Callable[[], None]) -> None:
    """Publish until `stop` is set; without `SENTINEL_MQTT_URL` there is nothing to do but wait."""
    if not settings.mqtt_url:
        while not stop.wait(1.0):
            beat()
        return
    mqtt = Mqtt(open_store(settings), settings.mqtt_url)
    mqtt.start()
    try:
        keep_running(mqtt.step, stop, beat)
    finally:
        mqtt.stop()
