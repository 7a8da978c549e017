"""Messages as a subscriber hands them on, and what may be said of one: taken, refused, or not yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol


class NotAFrame(Exception):
    """Why a message is refused for good: it is acknowledged, counted and said."""


class NotYet(Exception):
    """Why a message cannot be taken now, which concerns this message alone.

    Attributes
    ----------
    seconds : after which it is tried again; others are taken meanwhile
    """

    def __init__(self, reason: str, seconds: float) -> None:
        super().__init__(reason)
        self.seconds = seconds


@dataclass(eq=False)
class Delivery:
    """One message.

    Attributes
    ----------
    payload : empty if it is larger than is taken, see `size`
    size : of the payload, in bytes
    identifier : of the packet; None for QoS 0
    again : whether the broker has delivered it before
    content_type, attributes : properties of MQTT 5; of each user property the last value
    arrived_at : when it came, for the first time as far as that is known, seconds since the epoch
    connection : number of the connection on which it came
    tries : how often it failed for a reason of its own
    """

    topic: str
    payload: bytes
    size: int
    identifier: int | None
    again: bool
    content_type: str
    attributes: dict[str, str]
    arrived_at: float
    connection: int
    tries: int = 0
    due: float = field(default=0.0, repr=False)  # on the monotonic clock


class Taker(Protocol):
    """What is done with messages."""

    @property
    def filters(self) -> Sequence[str]:
        """The topic filters that are subscribed to."""

    @property
    def most_bytes(self) -> int:
        """The largest payload that is looked at."""

    def take(self, delivery: Delivery, subscriber: str) -> None:
        """Store what a message brings. It may come again, and counts once.

        Raises
        ------
        NotAFrame, NotYet
            What they say.
        SpoolFull, OSError, BrokerUnavailable
            While there is no room: it is tried again.
        SentinelError
            If it can never be taken as things are: `bury` keeps it.
        """

    def bury(self, delivery: Delivery, error: Exception) -> None:
        """Keep what cannot be accepted as a dead letter; raise `NotAFrame` where that cannot be."""
