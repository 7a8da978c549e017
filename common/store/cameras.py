"""What the process that fetches live cameras says of each connection; it vanishes soon after that process."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import redis

from common.contracts.cameras import CameraState
from common.errors import BadMessage
from common.store import keys
from common.store.client import binary

_KEPT_SECONDS = 60


class CameraStore:
    """The state of each live camera."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client

    def put(self, states: Iterable[CameraState]) -> None:
        """Replace what is stored of these cameras, for a minute."""
        pipe = self.client.pipeline(transaction=False)
        for state in states:
            pipe.set(keys.stream_key(state.stream, "camera"), state.to_json(), ex=_KEPT_SECONDS)
        pipe.execute()

    def of(self, streams: Sequence[str]) -> dict[str, CameraState]:
        """Return the state of those of `streams` that are live cameras and fetched now."""
        pipe = self.client.pipeline(transaction=False)
        for stream in streams:
            pipe.get(keys.stream_key(stream, "camera"))
        found: dict[str, CameraState] = {}
        for stream, stored in zip(streams, pipe.execute() if streams else [], strict=True):
            try:
                if stored is not None:
                    found[stream] = CameraState.from_json(binary(stored) or b"")
            except BadMessage:  # of another version of the process, which says it anew in a moment
                continue
        return found
