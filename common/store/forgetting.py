"""Taking a stream out of Redis: its keys, its entries in the sets and Streams that all share."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping

import redis

from common.contracts.ids import content_id
from common.store import keys
from common.store.client import fields_of, load_script, text
from common.store.ingest_streams import INGEST_GROUP, ingest_streams

_FIXED = (
    "counter", "pending", "sent", "cost", "window", "frames", "evidence-list", "handed-in", "inbox", "mute",
    "incidents", "incident-order", "golden", "golden-history", "golden-scores", "rhythm",
    "learning", "bursts", "burst-slots", "pictures", "picture-notes", "picture-ring", "picture-pins", "truth",
    "truth-tracks", "truth-ids", "camera",
)  # fmt: skip
_REMEMBERED_SECONDS = 86_400  # far longer than a task waits in a queue
_PAGE = 500  # entries, or keys, at a time
_ROUNDS = 5  # a stream that footage still comes for is begun anew rather than chased for ever
_GLOB = re.compile(r"([*?\[\]^\\])")

Wanted = Callable[[Mapping[bytes, bytes]], bool]


class Forgetting:
    """Deletes what is stored of a stream, while producers and workers go on."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self._forget = load_script(client, "forget_stream")
        self._delete = load_script(client, "delete_forgotten")

    def keys_of(self, stream: str) -> list[bytes]:
        """Return all keys of `stream`."""
        pattern = _GLOB.sub(r"\\\1", keys.stream_key(stream, "")) + "*"
        return list(self.client.scan_iter(match=pattern, count=1000))

    def forget(self, stream: str) -> tuple[int, bool]:
        """Delete every key of `stream`, and its entries in the sets of all streams.

        Returns
        -------
        How many keys were deleted, and whether footage of the stream came meanwhile, with which it begins anew.
        """
        fixed = [keys.stream_key(stream, part) for part in _FIXED]
        count = 0
        for _ in range(_ROUNDS):
            shared = [keys.STREAMS, keys.WAITING, _mark(stream)]
            count += int(self._forget(keys=[*shared, *fixed], args=[stream, time.time(), _REMEMBERED_SECONDS]))
            deleted = self._delete_rest(stream)
            if deleted is not None:
                return count + deleted, False
        return count, True

    def _delete_rest(self, stream: str) -> int | None:
        """Delete the keys that are left; return how many, None if the stream is there again."""
        count = 0
        while found := self.keys_of(stream):
            for start in range(0, len(found), _PAGE):
                deleted = int(self._delete(keys=[keys.STREAMS, *found[start : start + _PAGE]], args=[stream]))
                if deleted < 0:
                    return None
                count += deleted
        return count

    def was_forgotten(self, stream: str) -> bool:
        """Return whether `stream` was forgotten lately, so that tasks about it may still be on their way."""
        return bool(self.client.exists(_mark(stream)))

    def delete_events(self, stream: str) -> int:
        """Delete the events of `stream`, and those about models that name it; return how many."""
        name = stream.encode(errors="surrogatepass")
        mention = f'"stream":{json.dumps(stream, ensure_ascii=False)}'.encode(errors="surrogatepass")
        return self._delete_entries(
            keys.EVENTS, lambda fields: fields.get(b"stream") == name or mention in fields.get(b"data", b"")
        )

    def delete_camera_events(self, wanted: Wanted) -> int:
        """Delete the camera events that are `wanted`, with the images in them; return how many."""
        return self._delete_ingest(keys.INGEST, wanted)

    def delete_truth(self, wanted: Wanted) -> int:
        """Delete the messages of truth that are `wanted` and wait to be taken in; return how many."""
        return self._delete_ingest(keys.TRUTH, wanted)

    def _delete_ingest(self, root: str, wanted: Wanted) -> int:
        streams = ingest_streams(self.client, root)
        return sum(self._delete_entries(key, wanted, group=INGEST_GROUP) for key in streams)

    def _delete_entries(self, key: str, wanted: Wanted, *, group: str = "") -> int:
        count = 0
        for page in self._pages(key):
            found = [entry_id for entry_id, fields in page if wanted(fields)]
            if not found:
                continue
            if group:
                self.client.xack(key, group, *found)
            count += int(self.client.xdel(key, *found))
        return count

    def _pages(self, key: str) -> Iterator[list[tuple[str, Mapping[bytes, bytes]]]]:
        after = "-"
        while True:
            rows = self.client.xrange(key, min=after, max="+", count=_PAGE) or []
            page: list[tuple[str, Mapping[bytes, bytes]]] = [
                (text(row[0]), fields_of(row[1])) for row in rows if row is not None
            ]
            if page:
                yield page
            if len(rows) < _PAGE:
                return
            after = f"({page[-1][0]}"


def _mark(stream: str) -> str:
    # The name itself is forgotten too.
    return keys.FORGOTTEN_PREFIX + content_id(stream)
