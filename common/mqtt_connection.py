"""Connections to MQTT brokers, for what publishes and for what subscribes: address, password, TLS, connecting again."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from common.errors import SettingsError
from common.password_file import read_password
from common.settings import Settings

_PORTS = {"mqtt": 1883, "mqtts": 8883}
_KEEPALIVE_SECONDS = 30
_ANSWER_SECONDS, _LOOP_SECONDS = 5.0, 0.2  # of a connection that is only tried
_SHORTEST_PAUSE, _LONGEST_PAUSE = 1, 30  # seconds between attempts to connect


@dataclass(frozen=True)
class MqttBroker:
    """Where a broker is, and who asks it. Its `repr` has no password.

    Attributes
    ----------
    setting : the one that names it, for messages
    user, password : None: it does not ask
    ca_file : certificates that vouch for it; None: those of the system
    """

    setting: str
    host: str
    port: int
    tls: bool
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None

    @property
    def shown(self) -> str:
        """The address for people and logs."""
        return f"mqtt{'s' if self.tls else ''}://{self.host}:{self.port}"

    def client(
        self,
        client_id: str = "",
        *,
        protocol: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv311,
        manual_ack: bool = False,
    ) -> paho.Client:
        """Return a client that has what it needs to `connect`; raise `SettingsError` if `ca_file` is unusable."""
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=protocol, manual_ack=manual_ack)
        if self.user:
            client.username_pw_set(self.user, self.password or "")
        if self.tls:
            try:
                client.tls_set(ca_certs=str(self.ca_file) if self.ca_file else None)
            except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
                raise SettingsError(f"SENTINEL_MQTT_CA_FILE: {self.ca_file} cannot be used: {error}") from error
        client.reconnect_delay_set(_SHORTEST_PAUSE, _LONGEST_PAUSE)
        return client

    def connect(self, client: paho.Client, *, session: Properties | None = None) -> None:
        """Let `client.loop_start` connect, again and again; with a `session` (MQTT 5) the broker keeps what comes."""
        if session is None:
            client.connect_async(self.host, self.port, _KEEPALIVE_SECONDS)
        else:
            client.connect_async(self.host, self.port, _KEEPALIVE_SECONDS, clean_start=False, properties=session)

    def why_closed(self) -> str:
        """Connect once, under no name that anybody has; return why that is not possible, or an empty string."""
        client = self.client()
        answers: list[ReasonCode] = []
        client.on_connect = lambda _c, _u, _f, code, _p: answers.append(code)
        ends = time.monotonic() + _ANSWER_SECONDS
        try:
            client.connect(self.host, self.port, _KEEPALIVE_SECONDS)
            while not answers and time.monotonic() < ends:
                client.loop(_LOOP_SECONDS)
            client.disconnect()
        except (OSError, ValueError) as error:
            return str(error)
        if not answers:
            return "it does not answer"
        return str(answers[0]) if answers[0].is_failure else ""


def mqtt_broker(url: str, setting: str, settings: Settings) -> MqttBroker:
    """Return the broker at `url`, with its password, read now.

    Parameters
    ----------
    url : mqtt://user:password@host:port, or mqtts:// for TLS
    setting : that names it

    Raises
    ------
    SettingsError
        If it is no such address, or its password cannot be had. It does not quote the URL.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        parts, port = urlsplit(""), 0
    if parts.scheme not in _PORTS or not parts.hostname:
        raise SettingsError(f"{setting} is no address of a broker: write mqtt://user:password@host:port, or mqtts://")
    user = unquote(parts.username) if parts.username else None
    password = unquote(parts.password) if parts.password else None
    if user and password is None and settings.mqtt_password_file is not None:
        password = read_password(settings.mqtt_password_file.expanduser(), "SENTINEL_MQTT_PASSWORD_FILE")
    return MqttBroker(setting, parts.hostname, port, parts.scheme == "mqtts", user, password, settings.mqtt_ca_file)


def broker_of_frames(settings: Settings) -> MqttBroker:
    """Return the broker from which frames come; raise `SettingsError` as `mqtt_broker` does."""
    if settings.mqtt_in_url:
        return mqtt_broker(settings.mqtt_in_url, "SENTINEL_MQTT_IN_URL", settings)
    return mqtt_broker(settings.mqtt_url or "", "SENTINEL_MQTT_URL", settings)
