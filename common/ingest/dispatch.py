"""Fan-out: a stream's chunks go to the queue a few at a time, in order.

Every stream has the same number of chunks under way, be it a live camera's next
second or a file of ten hours. The queue itself is first come, first served, so
streams take turns.
"""

from __future__ import annotations

from common import broker
from common.settings import Settings
from common.store import Store


def dispatch_next(store: Store, settings: Settings, stream: str) -> int:
    """Send the next chunks of `stream` that may be under way; return how many.

    Called whenever there may be room: a batch was accepted, a window moved on,
    the sweep came by. A crash between taking chunks and sending them is mended
    by the sweep.
    """
    chunks = store.batches.release(stream, settings.stream_chunks)
    for chunk in chunks:
        broker.send_embed(chunk)
    return len(chunks)
