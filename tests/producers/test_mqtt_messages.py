"""Whatever a message holds, it is a frame or an event, or it is refused: nothing else comes out."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from common.contracts.ids import check_stream_name
from common.ingest.accept import Ingestor
from producers.frigate import FrigateEvent
from producers.mqtt_delivery import Delivery, NotAFrame
from producers.mqtt_frames import MqttFrames
from producers.spooled import open_spool
from tests.producers.events import EVENT

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
STARTS = st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"{", b'{"specversion": "1.0"', b"\xef\xbb\xbf{"])


def changed(base: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return objects like `base`, with some members of any value, and some left out."""
    changes = st.dictionaries(st.sampled_from([*base, "other"]), VALUES, max_size=3)
    return changes.map(lambda own: {name: value for name, value in {**base, **own}.items() if value is not None})


def delivered(topic: str, payload: bytes, content_type: str, attributes: dict[str, str]) -> Delivery:
    return Delivery(topic, payload, len(payload), 1, False, content_type, attributes, 0.0, 0)


@hypothesis_settings(suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(["cameras/cam7/frame", "cameras//frame", "cameras/a{b}/frame", "other"]),
    st.builds(lambda start, rest: start + rest, STARTS, st.binary(max_size=40))
    | changed({**EVENT, "data_base64": "/9j/"}).map(lambda event: json.dumps(event).encode()),
    st.sampled_from(["", "image/jpeg", "video/mp4", "text/html", "application/cloudevents+json", "\udcff"]),
    st.dictionaries(st.sampled_from([*EVENT, "time"]), st.text(max_size=20), max_size=6),
)
def test_a_message_of_a_camera_is_a_frame_or_is_refused(
    ingestor: Ingestor, topic: str, payload: bytes, content_type: str, attributes: dict[str, str]
) -> None:
    settings = ingestor.settings.model_copy(update={"mqtt_in_topics": ("cameras/{stream}/frame",)})
    frames = MqttFrames(settings, ingestor, open_spool(settings))
    with suppress(NotAFrame):
        frame = frames._frame_of(delivered(topic, payload, content_type, attributes))
        assert frame.stream == "cam7"
        assert (frame.post is None) != (frame.event is None)


AFTER = {"id": "1607123955.475377-mxklsc", "camera": "yard", "has_snapshot": True, "start_time": 1.0, "snapshot": {}}


@given(
    st.binary(max_size=40)
    | VALUES.map(lambda value: json.dumps(value).encode())
    | changed(AFTER).map(lambda after: json.dumps({"type": "end", "after": after}).encode())
)
def test_a_message_of_frigate_is_an_event_or_is_refused(payload: bytes) -> None:
    with suppress(NotAFrame):
        event = FrigateEvent.parse(payload)
        assert event is not None
        assert check_stream_name(event.stream) == event.stream
        assert set(event.id) <= set("0123456789.-abcdefghijklmnopqrstuvwxyz")
