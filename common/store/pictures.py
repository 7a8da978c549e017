"""Small pictures of what cameras saw: a ring of the latest ones of each stream, and those pinned to what they show.

They are for people to look at. Nothing is judged by them, so whoever keeps them goes on without them.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import redis

from common.contracts.batches import Chunk
from common.contracts.pictures import IncidentPictures, Picture, PictureNote, Reference, StreamPictures
from common.errors import BadMessage
from common.store import keys
from common.store.client import binary, load_script, text

log = logging.getLogger(__name__)

MOST_IN_RING = 64
"""Latest pictures of one stream. More frames than they span are seldom embedded ahead of the reducer."""
_MOST_PINS = 24  # of one stream: eight incidents with two pins each, and eight segments of its baseline
PER_INCIDENT = 3
"""Pictures of the first windows of an incident, and as many of its latest."""
_TIGHT_SHARE = 2 / 3  # of the memory at which work has to wait: beyond it each stream keeps one picture in its ring
_PARTS = ("pictures", "picture-notes", "picture-ring", "picture-pins", "pending")
_FIRST, _LATEST, _GOLDEN = "first", "latest", "golden"


@dataclass(frozen=True)
class Pin:
    """Pictures that are kept for what they show, whatever the ring has forgotten.

    Attributes
    ----------
    name : pictures that are pinned under it again are added to those that it has
    ids : of pictures; those that are not kept are left out
    most : pictures that it keeps
    first : whether it keeps the first ones that it was given; else the latest
    """

    name: str
    ids: tuple[str, ...]
    most: int = 1
    first: bool = False


def incident_pins(incident: str, ids: Sequence[str]) -> tuple[Pin, Pin]:
    """Return the pins of pictures of an incident's windows, given oldest first."""
    chosen = tuple(ids)
    return (
        Pin(f"{_FIRST}|{incident}", chosen, PER_INCIDENT, first=True),
        Pin(f"{_LATEST}|{incident}", chosen, PER_INCIDENT),
    )


def reference_pin(golden_id: str, segment: str, picture: str) -> Pin:
    """Return the pin of the picture that shows what a segment of a baseline looks like."""
    return Pin(f"{_GOLDEN}|{golden_id}|{segment}", (picture,))


class PictureStore:
    """The pictures of each stream.

    Parameters
    ----------
    most_bytes : of all pictures of one stream
    retention : seconds for which a picture is kept
    room : returns the bytes that Redis may hold before work has to wait; 0: no bound is known
    """

    def __init__(self, client: redis.Redis, *, most_bytes: int, retention: int, room: Callable[[], int]) -> None:
        self.client = client
        self._room = room
        self._most_bytes = most_bytes
        self._retention = retention
        self._keep = load_script(client, "keep_pictures")

    def keep(self, chunk: Chunk, pictures: Sequence[Picture]) -> int:
        """Keep pictures of a chunk that waits to be reduced; return how many are new."""
        latest = list(pictures)[-MOST_IN_RING:]
        return self._store(chunk.stream, chunk.id, latest, ())

    def pin(self, stream: str, pins: Iterable[Pin]) -> None:
        """Pin pictures of `stream` that are kept."""
        self._store(stream, "", (), tuple(pins))

    def _store(self, stream: str, chunk: str, pictures: Sequence[Picture], pins: Sequence[Pin]) -> int:
        plan = {
            "now": time.time(),
            "retention": self._retention,
            "most": 1 if pictures and self._is_tight() else MOST_IN_RING,
            "bytes": self._most_bytes,
            "most_pins": _MOST_PINS,
            "chunk": chunk,
            "add": [{"id": row.note.id, "note": row.note.to_json()} for row in pictures],
            "pins": [{"name": pin.name, "ids": pin.ids, "most": pin.most, "first": pin.first} for pin in pins],
        }
        own = [keys.stream_key(stream, part) for part in _PARTS]
        return int(self._keep(keys=own, args=[json.dumps(plan), *(row.jpeg for row in pictures)]))

    def _is_tight(self) -> bool:
        room = self._room()
        return 0 < room * _TIGHT_SHARE < int(self.client.info("memory")["used_memory"])

    def jpeg(self, stream: str, picture: str) -> bytes | None:
        """Return a picture; None if it is not kept."""
        return binary(self.client.hget(keys.stream_key(stream, "pictures"), picture))

    def latest(self, streams: Sequence[str]) -> dict[str, str]:
        """Return stream -> id of its latest picture, for those that have one."""
        pipe = self.client.pipeline(transaction=False)
        for stream in streams:
            pipe.zrange(keys.stream_key(stream, "picture-ring"), -1, -1)
        return {stream: text(ids[0]) for stream, ids in zip(streams, pipe.execute(), strict=True) if ids}

    def notes(self, stream: str) -> dict[str, PictureNote]:
        """Return the notes of all pictures of `stream` by id; those that a newer version wrote are left out."""
        found = {}
        for picture, stored in self.client.hgetall(keys.stream_key(stream, "picture-notes")).items():
            try:
                found[text(picture)] = PictureNote.from_json(stored)
            except BadMessage as error:
                log.warning("stream %s: a picture is not shown: %s", stream, error)
        return found

    def of_stream(self, stream: str) -> StreamPictures:
        """Return what pictures of `stream` are kept."""
        notes = self.notes(stream)
        ids = [text(row) for row in self.client.zrange(keys.stream_key(stream, "picture-ring"), 0, -1)]
        ring = tuple(notes[row] for row in ids if row in notes)
        references: list[Reference] = []
        incidents: dict[str, dict[str, tuple[PictureNote, ...]]] = {}
        for name, pinned in self._pins(stream).items():
            shown = tuple(notes[row] for row in pinned if row in notes)
            kind, _, what = name.partition("|")
            if kind == _GOLDEN and shown:
                golden_id, _, segment = what.partition("|")
                references.append(Reference(golden_id=golden_id, segment=segment, note=shown[-1]))
            elif kind in {_FIRST, _LATEST} and shown:
                incidents.setdefault(what, {})[kind] = shown
        return StreamPictures(
            latest=ring[-1] if ring else None,
            ring=ring,
            references=tuple(references),
            incidents={
                incident: IncidentPictures(first=kinds.get(_FIRST, ()), latest=kinds.get(_LATEST, ()))
                for incident, kinds in incidents.items()
            },
        )

    def _pins(self, stream: str) -> Mapping[str, list[str]]:
        stored = self.client.hgetall(keys.stream_key(stream, "picture-pins"))
        return {text(name): [str(row) for row in json.loads(pin)["ids"]] for name, pin in stored.items()}
