"""The name of every Redis key, in one place. All keys of a stream share its hash tag."""

from __future__ import annotations

INGEST = "sentinel:ingest"
"""Stream of camera events that any camera may write to. After a colon and a name, like `sentinel:ingest:NAME`, there
may be one for each writer, if Redis' access control is set up so."""
TRUTH = "sentinel:truth"
"""Stream of what is true of frames, which programs with models of their own write to."""
TRUTH_DUE = "sentinel:truth-due"
"""Set: streams whose rows of truth have to be looked at."""
INGEST_REPAIRS = "sentinel:ingest-repairs"
"""Hash: ingest Stream -> its latest `contracts.dead_letters.StreamRepair`."""
EVENTS = "sentinel:events"
"""Stream of `contracts.events.Event`."""
DEAD = "sentinel:dead"
"""Stream of `contracts.dead_letters.DeadLetter`."""
DEAD_IDS = "sentinel:dead:ids"
"""Hash: dead letter id -> its entry on DEAD, so that the same failure is written once."""
STREAMS = "sentinel:streams"
"""Sorted set: stream name -> time of its last accepted batch."""
WAITING = "sentinel:streams:waiting"
"""Hash: stream -> `contracts.golden.WaitingStream`, for streams that have footage and no usable golden baseline."""
DUE = "sentinel:retrain:due"
"""Sorted set: model -> when its next retraining may start."""
CALLED = "sentinel:retrain:called"
"""Hash: model -> when the trigger last requested its retraining; deleted when a worker begins it."""
HELD = "sentinel:retrain:held"
"""Hash: model -> `contracts.models.Hold`, while a person's choice suspends its retraining."""
FORGOTTEN_PREFIX = "sentinel:forgotten:"
"""Before the content id of a stream's name: there for a day after the stream was forgotten."""
LISTENING = "sentinel:listening"
"""Hash: `asked`, when the sweep asked about silence last; `since`, since when sources could come in."""
PREPARED_PREFIX = "sentinel:prepared:"
"""Before a digest of the settings that make features: what an embedding worker says that it makes with them."""
INTERPOLATING_PREFIX = "sentinel:interpolating:"
"""Before a digest of the path of a file: the lease of who writes it."""
OBJECTS_PREFIX = "sentinel:objects:"
"""Before the content id of a watched prefix of object storage: a set of the object versions that were handed in."""
OBJECTS_NOTICED = "sentinel:objects-noticed"
"""Sorted set: URI of an object that is to be looked at -> when a notification said that it was written."""
MQTT_STREAMS = "sentinel:mqtt:streams"
"""Set: the streams that have retained topics."""
MQTT_DELIVERIES_PREFIX = "sentinel:mqtt:deliveries:"
"""Before the name of a subscriber: hash, packet identifier of a message -> digest of its payload, and when it came."""
MQTT_FILTERS_PREFIX = "sentinel:mqtt:filters:"
"""Before the name of a subscriber: set, the topic filters that the broker's session of it has."""
ALERTS = "sentinel:alerts"
"""Hash: alert id -> `contracts.alerts.Alert`, for those that have still to be sent."""
ALERTS_DUE = "sentinel:alerts:due"
"""Sorted set: alert id -> when it is sent next."""
ALERTS_SAID = "sentinel:alerts:said"
"""Hash: incident id -> the latest change of it that was noted, the entry of its event, and the id of its alert."""
STREAM_PREFIX = "sentinel:{%s}:"
MODEL_PREFIX = "sentinel:model:{%s}:"
PROCESS_PREFIX = "sentinel:process:%s:"


def stream_key(stream: str, *parts: str) -> str:
    """Return a key of one stream.

    Parts: `counter`, `pending`, `sent`, `cost`, `window`, `frames`, `batch:ID`, `chunk:ID`, `data:ID`,
    `evidence:ID`, `evidence-list`, `folder:ID`, `handed-in`, `inbox`, `mute`, `incidents`, `incident-order`, `golden`,
    `golden-history`, `golden-scores`, `golden-scores-asked:WHEN`, `rhythm`, `learning`, `bursts`, `burst-slots`,
    `learner`, `canary:VERSION:DIGEST`, `pictures`, `picture-notes`, `picture-ring`, `picture-pins`, `truth`,
    `truth-tracks`, `truth-ids`, `truth-rows:TRACK`, `camera`.
    """
    return (STREAM_PREFIX % stream) + ":".join(parts)


def model_key(model: str, part: str) -> str:
    """Return a key of one model.

    Parts: `champion`, `history`, `waiting`, `lease`, `rejected`, `attempts`, `decisions`, `making`, `canary-asked`.
    """
    return (MODEL_PREFIX % model) + part


def process_key(process: str, part: str) -> str:
    """Return a key of one process. Parts: `starts`, `instance:ID`, `exit`."""
    return (PROCESS_PREFIX % process) + part
