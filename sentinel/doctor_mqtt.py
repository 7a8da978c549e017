"""Looks whether the brokers of MQTT, and Frigate, can be reached as the settings say."""

from __future__ import annotations

from common.errors import SentinelError
from common.mqtt_connection import broker_of_frames, mqtt_broker
from common.settings import Settings


def examine_brokers(settings: Settings) -> str:
    """Connect to each broker once; raise `SentinelError` with what to correct if one does not let us in."""
    brokers = []
    if settings.mqtt_url:
        brokers.append(mqtt_broker(settings.mqtt_url, "SENTINEL_MQTT_URL", settings))
    if settings.mqtt_in_topics or settings.frigate_url:
        brokers.append(broker_of_frames(settings))
    for broker in brokers:
        if why := broker.why_closed():
            raise SentinelError(f"the broker at {broker.shown} does not let us in ({why}): correct {broker.setting}")
    topics = f", frames from {' '.join(settings.mqtt_in_topics)}" if settings.mqtt_in_topics else ""
    addresses = list(dict.fromkeys(broker.shown for broker in brokers))
    return f"{', '.join(addresses)}{topics}" if addresses else "none is set"


def examine_frigate(settings: Settings) -> str:
    """Ask Frigate's HTTP API for its version; raise `SentinelError` with what to correct if it does not say it."""
    if settings.frigate_url is None:
        return "none is set"
    from producers.frigate import why_closed

    if why := why_closed(settings.frigate_url):
        raise SentinelError(f"{settings.frigate_url} does not answer as Frigate ({why}): correct SENTINEL_FRIGATE_URL")
    return f"{settings.frigate_url}, the {settings.frigate_fetch} of each event"
