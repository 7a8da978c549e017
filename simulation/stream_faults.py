"""Faults of a recording that leave what each picture shows alone: frames that are missing, packets that are damaged.

To add a fault, add a member to `StreamFault`, its row to `STREAM_SEVERITIES`, and where `simulation.saboteur` writes a
video, what it does.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from common.contracts.verdicts import Cause

_SEED_PREFIX = 0x57  # separates these random numbers from those of others who use the same seed
_HEADER = 24  # bytes at the start of a packet that stay: without them it is no packet of this codec
_DAMAGED = 100  # bytes of a packet of which one is overwritten


class StreamFault(StrEnum):
    """A fault of a recording."""

    DROPPED_FRAMES = "dropped_frames"
    """Frames are left out at random while the clock goes on: a network or a processor that does not keep up."""
    CORRUPT_PACKETS = "corrupt_packets"
    """Bytes within packets are overwritten: a faulty cable, radio link or disk."""

    @property
    def cause(self) -> Cause:
        """The cause that a verdict on footage with this fault should name."""
        return _CAUSES[self]


_CAUSES = {
    StreamFault.DROPPED_FRAMES: Cause.MISSING_FRAMES,
    StreamFault.CORRUPT_PACKETS: Cause.PACKET_LOSS,
}

STREAM_SEVERITIES: dict[StreamFault, tuple[float, float, float, float, float]] = {
    StreamFault.DROPPED_FRAMES: (0.18, 0.27, 0.4, 0.6, 0.8),  # share of the frames
    StreamFault.CORRUPT_PACKETS: (0.06, 0.12, 0.25, 0.45, 0.7),  # share of the packets
}
"""The strength of each fault by severity, in the unit stated beside each row."""


def is_dropped(share: float, seed: int, index: int) -> bool:
    """Return whether frame `index` is left out; the first one never is."""
    return index > 0 and float(_random(seed, index).random()) < share


def corrupted(packet: bytes, share: float, seed: int, number: int) -> bytes:
    """Return the bytes of packet `number`, some of them overwritten if it is one of the `share` that are damaged."""
    random = _random(seed, number)
    if float(random.random()) >= share or len(packet) <= _HEADER:
        return packet
    data = bytearray(packet)
    for at in random.integers(_HEADER, len(data), max(1, len(data) // _DAMAGED)):
        data[at] = int(random.integers(256))
    return bytes(data)


def _random(seed: int, number: int) -> np.random.Generator:
    return np.random.default_rng((_SEED_PREFIX, seed, number))
