"""Dispatch: each stream's chunks are sent to the queue a few at a time, in order.

Every stream has at most `SENTINEL_STREAM_CHUNKS` chunks in flight, whether it is a
live camera or a file of ten hours. The queue is first in, first out, so long files
do not delay live cameras.
"""

from __future__ import annotations

from common import broker
from common.settings import Settings
from common.store import Store


def dispatch_next(store: Store, settings: Settings, stream: str) -> int:
    """Send the next chunks of `stream` that may be in flight; return how many.

    It is called when a batch was accepted, when a window was committed, and by the
    sweep. Chunks that were released but not sent because of a crash are sent by the
    sweep.
    """
    chunks = store.batches.release(stream, settings.stream_chunks)
    for chunk in chunks:
        broker.send_embed(chunk)
    return len(chunks)
