"""What tells a silent stream from one that is late: when its last batch came, what still waits, and its usual gaps."""

from __future__ import annotations

from dataclasses import dataclass

import redis

from common.store import keys
from common.store.client import text

_STEPS_PER_OCTAVE = 4  # as `scripts/register_batch.lua` counts the gaps


@dataclass(frozen=True)
class Quiet:
    """What there is to say of a stream from which nothing may come.

    Attributes
    ----------
    accepted_at : when its last batch was accepted, by the wall clock, seconds since the epoch; None: there was none
    pending : chunks that have not entered its window yet
    offline : whether it has an open incident of silence
    gaps : the latest days' gaps between two batches: length in seconds (rounded up by a fifth at most), and how many
    """

    accepted_at: float | None
    pending: int
    offline: bool
    gaps: tuple[tuple[float, int], ...]


class SilenceStore:
    """Reads what the question about silence needs."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client

    def quiet(self, stream: str) -> Quiet:
        """Return what is known of `stream`, in one round trip."""
        pipe = self.client.pipeline(transaction=False)
        pipe.zscore(keys.STREAMS, stream)
        pipe.zcard(keys.stream_key(stream, "pending"))
        pipe.hexists(keys.stream_key(stream, "window"), "offline")
        pipe.hgetall(keys.stream_key(stream, "rhythm"))
        accepted_at, pending, offline, rhythm = pipe.execute()
        gaps = tuple((_length(text(field)), int(count)) for field, count in rhythm.items())
        return Quiet(None if accepted_at is None else float(accepted_at), int(pending), bool(offline), gaps)

    def listening_since(self, now: float, *, hears: bool, longest_pause: float) -> float | None:
        """Note that the sweep asks, and return from when on sources could come in without a break.

        Parameters
        ----------
        now : seconds since the epoch
        hears : whether sources can come in now
        longest_pause : seconds between two questions after which nobody knows whether they could in between

        Returns
        -------
        Seconds since the epoch; None if they cannot now.
        """
        asked, since = self.client.hmget(keys.LISTENING, "asked", "since")
        if not hears:
            self.client.hdel(keys.LISTENING, "since")
            return None
        unbroken = asked is not None and since is not None and abs(now - float(asked)) <= longest_pause
        began = float(since) if unbroken and since is not None else now
        self.client.hset(keys.LISTENING, mapping={"asked": repr(now), "since": repr(began)})
        return began


def _length(field: str) -> float:
    return float(2.0 ** (int(field.rpartition(":")[2]) / _STEPS_PER_OCTAVE))
