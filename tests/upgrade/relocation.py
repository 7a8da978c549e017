"""Moving stored state to another folder: the absolute paths in the Redis data of versions 0.1 and 0.2.

What holds one, and what is done here with it:

=====================================  ==============================================================
`sentinel:model:{M}:champion` (string)  `baseline_path`, `model_path`: rewritten; without, no stream is judged
`sentinel:model:{M}:history` (list)     the same of every version: rewritten
`sentinel:model:{M}:fails` (hash)       sources of the verdicts that wait for a retraining: rewritten
`sentinel:model:{M}:run:ID` (hash)      the same of a run that is not confirmed: rewritten
`sentinel:{S}:batch:ID` (hash)          `source.uri` of the batch: rewritten; pending chunks are read from there
`sentinel:{S}:chunk:ID` (hash)          the same of a finished chunk: rewritten
`sentinel:{S}:window` (hash)            sources of the last verdict: rewritten
`sentinel:{S}:frames`, `evidence:ID`    `sources` inside an npz (0.1) or safetensors (0.2): rewritten; a retraining
                                        reads frames from there
`sentinel:{S}:folder:ID`                the ID is a digest of the folder's path: stays, so a folder of stills that was
                                        counted at the old place is new at the new one (the fixture has none)
batch IDs of single stills              a digest of stream, content and path: stay, so a still that lies in a watched
                                        folder counts again at the new place (videos and folders are known by content)
`sentinel:dead` (Stream)                `original`, `subject`, `reason`: rewritten, entries keep their ids
`sentinel:events` (Stream)              sources in verdicts and reports, for people: stay, consumer groups go on reading
`embed` (list, Celery's)                the chunk inside a base64 body: rewritten
=====================================  ==============================================================
"""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np
import redis
from safetensors.numpy import load, save

_NPZ = b"PK"
_DEAD = b"sentinel:dead"
_EVENTS = b"sentinel:events"
_QUEUE = b"embed"


def relocate(url: str, old: str, new: str) -> int:
    """Rewrite the folder `old` to `new` in the Redis at `url`; return how many values changed."""
    client = redis.Redis.from_url(url)
    changed = 0
    for key in client.scan_iter(count=1000):
        kind = client.type(key)
        move = {b"string": _string, b"hash": _hash, b"list": _list}.get(kind)
        if key == _DEAD:
            changed += _stream(client, key, old, new)
        elif move is not None:
            changed += move(client, key, old, new)
    client.close()
    return changed


def naming(url: str, folder: str) -> list[str]:
    """Return the keys in the Redis at `url` that name `folder` still, but for `sentinel:events`, where it may stand."""
    client = redis.Redis.from_url(url)
    found = []
    for key in client.scan_iter(count=1000):
        read = {
            b"string": lambda key: [client.get(key)],
            b"hash": lambda key: client.hgetall(key).values(),
            b"list": lambda key: client.lrange(key, 0, -1),
            b"set": client.smembers,
            b"zset": lambda key: client.zrange(key, 0, -1),
            b"stream": lambda key: [value for _, fields in client.xrange(key) for value in fields.values()],
        }.get(client.type(key), lambda _: [])
        if key != _EVENTS and any(folder.encode() in (_body(value) if key == _QUEUE else value) for value in read(key)):
            found.append(key.decode())
    client.close()
    return sorted(found)


def moved(value: bytes, old: str, new: str) -> bytes:
    """Return a stored value with its paths moved: text as it is, features in their `sources`."""
    if _is_safetensors(value):
        return _moved_safetensors(value, old, new)
    if not value.startswith(_NPZ):
        return value.replace(old.encode(), new.encode())
    with np.load(io.BytesIO(value), allow_pickle=False) as file:
        arrays: dict[str, Any] = {name: file[name] for name in file.files}
    arrays["sources"] = np.array([str(uri).replace(old, new) for uri in arrays["sources"]], dtype=np.str_)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _is_safetensors(value: bytes) -> bool:
    """Return whether `value` is the length of a JSON header, the header, and arrays."""
    return value[8:9] == b"{" and int.from_bytes(value[:8], "little") <= len(value) - 8


def _moved_safetensors(value: bytes, old: str, new: str) -> bytes:
    arrays = load(value)
    uris = arrays["sources"].tobytes().replace(old.encode(), new.encode())
    return save({**arrays, "sources": np.frombuffer(uris, np.uint8)})


def _string(client: redis.Redis, key: bytes, old: str, new: str) -> int:
    value = client.get(key)
    after = moved(value, old, new)
    if after != value:
        client.set(key, after, keepttl=True)
    return int(after != value)


def _hash(client: redis.Redis, key: bytes, old: str, new: str) -> int:
    changed = 0
    for name, value in client.hgetall(key).items():
        after = moved(value, old, new)
        if after != value:
            client.hset(key, name, after)
            changed += 1
    return changed


def _list(client: redis.Redis, key: bytes, old: str, new: str) -> int:
    changed = 0
    for place, value in enumerate(client.lrange(key, 0, -1)):
        after = _task(value, old, new) if key == _QUEUE else moved(value, old, new)
        if after != value:
            client.lset(key, place, after)
            changed += 1
    return changed


def _body(message: bytes) -> bytes:
    return base64.b64decode(json.loads(message)["body"])


def _task(value: bytes, old: str, new: str) -> bytes:
    """Return a Celery message with the paths in its body moved."""
    message = json.loads(value)
    message["body"] = base64.b64encode(moved(_body(value), old, new)).decode()
    return json.dumps(message).encode()


def _stream(client: redis.Redis, key: bytes, old: str, new: str) -> int:
    """Write a Stream without consumer groups anew, its entries under their old ids."""
    entries = client.xrange(key)
    client.delete(key)
    changed = 0
    for entry_id, fields in entries:
        after = {name: moved(value, old, new) for name, value in fields.items()}
        client.xadd(key, after, id=entry_id)
        changed += after != fields
    return changed
