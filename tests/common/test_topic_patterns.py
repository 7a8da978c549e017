"""Topics: which are subscribed to, which stream one names, and that it is as MQTT has it."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import topic_matches_sub

from common.contracts.ids import check_stream_name
from common.topic_patterns import TopicPattern, check_topic_patterns, stream_of_topic

LEVELS = st.sampled_from(["a", "b", "", "é ü", "{stream}", "+"])
PATTERNS = st.lists(LEVELS, min_size=1, max_size=4).filter(lambda levels: levels.count("{stream}") == 1).map("/".join)
TOPICS = st.lists(st.sampled_from(["a", "b", "", "é ü", "..", "x{y}"]), min_size=1, max_size=4).map("/".join)


@given(PATTERNS, TOPICS)
def test_a_topic_matches_as_it_does_at_a_broker(pattern: str, topic: str) -> None:
    parsed = TopicPattern.parse(pattern)
    assert (parsed.level_of_stream(topic) is not None) == topic_matches_sub(parsed.filter, topic)


@given(PATTERNS, PATTERNS, TOPICS)
def test_two_patterns_that_match_one_topic_are_refused(one: str, other: str, topic: str) -> None:
    first, second = TopicPattern.parse(one), TopicPattern.parse(other)
    if first.level_of_stream(topic) is not None and second.level_of_stream(topic) is not None:
        with pytest.raises(ValueError, match="match the same topics"):
            check_topic_patterns([one, other])


@given(PATTERNS, st.text(max_size=40))
def test_what_a_topic_names_is_a_stream_or_is_refused(pattern: str, topic: str) -> None:
    with suppress(ValueError):
        stream = stream_of_topic(topic, [TopicPattern.parse(pattern)])
        assert stream is None or check_stream_name(stream) == stream


def test_the_first_pattern_that_matches_names_the_stream() -> None:
    patterns = check_topic_patterns(["cameras/{stream}/frame", "frigate/{stream}/+/snapshot"])
    assert stream_of_topic("cameras/dock 3/frame", patterns) == "dock 3"
    assert stream_of_topic("frigate/yard/person/snapshot", patterns) == "yard"
    assert stream_of_topic("frigate/yard/person", patterns) is None
