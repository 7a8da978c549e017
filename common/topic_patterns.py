"""Topics of MQTT from which frames come: which are subscribed to, and which stream a topic names."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from common.contracts.ids import check_stream_name

PLACEHOLDER = "{stream}"
_ANY = "+"
_LONGEST = 1000


@dataclass(frozen=True)
class TopicPattern:
    """A topic with `{stream}` for the one level that names the stream; `+` is any level.

    Examples
    --------
    >>> pattern = TopicPattern.parse("cameras/{stream}/+/frame")
    >>> pattern.filter, pattern.level_of_stream("cameras/dock 3/main/frame")
    ('cameras/+/+/frame', 'dock 3')
    """

    levels: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> TopicPattern:
        """Return the pattern that `text` writes; raise `ValueError`, which says what is wrong with it."""
        levels = tuple(text.split("/"))
        if len(text) > _LONGEST or any(unicodedata.category(character).startswith("C") for character in text):
            raise ValueError(f"a topic has at most {_LONGEST} characters, and no control character")
        if levels.count(PLACEHOLDER) != 1:
            raise ValueError(f"{text!r} does not have {PLACEHOLDER} as one of its levels: cameras/{PLACEHOLDER}/frame")
        if "#" in text or any(_ANY in level and level != _ANY for level in levels) or text.startswith("$"):
            raise ValueError(f"{text!r} has a # or a leading $, or a + that is not a whole level")
        if any(("{" in level or "}" in level) and level != PLACEHOLDER for level in levels):
            raise ValueError(f"{text!r} has braces beside those of {PLACEHOLDER}, which is a whole level")
        return cls(levels)

    @property
    def filter(self) -> str:
        """What the broker is asked for."""
        return "/".join(_ANY if level == PLACEHOLDER else level for level in self.levels)

    def level_of_stream(self, topic: str) -> str | None:
        """Return the level of `topic` that stands for the stream, unchecked; None if it is no such topic."""
        given = topic.split("/")
        if len(given) != len(self.levels) or not all(
            wanted in {level, _ANY, PLACEHOLDER} for wanted, level in zip(self.levels, given, strict=True)
        ):
            return None
        return given[self.levels.index(PLACEHOLDER)]

    def overlaps(self, other: TopicPattern) -> bool:
        """Return whether there is a topic that both match."""
        wild = {_ANY, PLACEHOLDER}
        return len(self.levels) == len(other.levels) and all(
            ours == theirs or ours in wild or theirs in wild
            for ours, theirs in zip(self.levels, other.levels, strict=True)
        )


def check_topic_patterns(texts: Sequence[str]) -> tuple[TopicPattern, ...]:
    """Return the patterns; raise `ValueError` if one is none, or if two match one topic: frames would come twice."""
    patterns = tuple(TopicPattern.parse(text) for text in texts)
    for one, other in combinations(patterns, 2):
        if one.overlaps(other):
            raise ValueError(
                f"{'/'.join(one.levels)!r} and {'/'.join(other.levels)!r} match the same topics: leave one out"
            )
    return patterns


def stream_of_topic(topic: str, patterns: Sequence[TopicPattern]) -> str | None:
    """Return the stream that `topic` names; None if no pattern matches it.

    Raises
    ------
    ValueError
        If no stream may be called that.
    """
    for pattern in patterns:
        level = pattern.level_of_stream(topic)
        if level is not None:
            return check_stream_name(level)
    return None
