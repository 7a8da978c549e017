"""What notifications of object storage say: which objects were written, below the watched prefixes.

    {"Records": [{"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": ...}, "object": {"key": ...}}}]}

So S3 writes them, and what speaks S3 (MinIO adds members of its own); SNS wraps such a document as text in another
one, and EventBridge writes one object as `detail`. Nothing but bucket and key is read, and neither is believed: whoever
looks at the object asks the storage which content it has.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import unquote_plus

from common.errors import BadMessage
from common.object_root import check_object_uri
from common.settings import Settings
from common.store import Store

MOST_EVENT_BYTES = 1_000_000
"""Of one notification: what queues and topics of the storage's provider carry at most."""
_MOST_RECORDS = 1000  # of one notification; S3 and MinIO send one record
_LONGEST_KEY = 1024  # bytes, as S3 has it
_CREATED = "ObjectCreated:"
_TEST = "s3:TestEvent"  # S3 sends it once, when notifications are set up
_BRIDGED_CREATED = "Object Created"
_OUTSIDE = "it names nothing below SENTINEL_WATCH_OBJECTS: give the notification the same prefix"


@dataclass(frozen=True)
class Notification:
    """One notification, read.

    Attributes
    ----------
    uris : the objects below watched prefixes that it says were written
    ignored : records of what is no writing of an object
    refused : records that are malformed, or of an object below no watched prefix
    reason : of the first of them
    """

    uris: tuple[str, ...]
    ignored: int
    refused: int
    reason: str


def read_notification(body: str | bytes, prefixes: Sequence[str]) -> Notification:
    """Return what a notification says of objects below `prefixes`.

    Raises
    ------
    BadMessage
        If it is none, or too large; the message quotes nothing of it.
    """
    uris: dict[str, None] = {}
    ignored, reasons = 0, []
    for record in _records(body):
        try:
            uri = _written(record, prefixes)
        except ValueError as error:
            reasons.append(str(error))
            continue
        if uri is None:
            ignored += 1
        else:
            uris[uri] = None
    return Notification(tuple(uris), ignored, len(reasons), reasons[0] if reasons else "")


def note_notification(body: str | bytes, settings: Settings, store: Store) -> Notification:
    """Note the objects that a notification names, to be looked at, and return what it says.

    Raises
    ------
    BadMessage
        If it is none.
    Backlogged
        If too many objects wait already, or Redis is too full: nothing was noted.
    """
    found = read_notification(body, settings.watch_objects)
    if found.uris:
        store.require_room()
        store.noticed_objects.add(found.uris)
    return found


def _records(body: str | bytes) -> Iterator[tuple[object, str, str]]:
    """Yield the name of the event, the bucket and the key of each record; an empty name stands for a malformed one."""
    document = _object(body)
    if isinstance(document.get("Message"), str) and "Records" not in document:
        document = _object(document["Message"])
    if document.get("Event") == _TEST:
        return
    if "detail-type" in document:
        detail = document.get("detail")
        created = document["detail-type"] == _BRIDGED_CREATED
        yield _CREATED if created else "other", *_names(detail, as_it_is=True)
        return
    records = document.get("Records")
    if not isinstance(records, list):
        raise BadMessage("it is no notification of S3: it has no list `Records`")
    if len(records) > _MOST_RECORDS:
        raise BadMessage(f"it has {len(records)} records, more than {_MOST_RECORDS}: send fewer at a time")
    for record in records:
        if not isinstance(record, dict):
            yield None, "", ""
            continue
        yield record.get("eventName"), *_names(record.get("s3"), as_it_is=False)


def _object(body: object) -> dict[str, object]:
    """Return a JSON object; raise `BadMessage` if `body` is none."""
    if not isinstance(body, str | bytes) or len(body) > MOST_EVENT_BYTES:
        raise BadMessage(f"it has more than {MOST_EVENT_BYTES} bytes")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadMessage("it is no JSON") from error
    if not isinstance(document, dict):
        raise BadMessage("it is no JSON object")
    return document


def _names(named: object, *, as_it_is: bool) -> tuple[str, str]:
    """Return bucket and key, unchecked; empty where there are none. Only EventBridge writes a key `as_it_is`."""
    bucket = named.get("bucket") if isinstance(named, dict) else None
    entry = named.get("object") if isinstance(named, dict) else None
    name = bucket.get("name") if isinstance(bucket, dict) else None
    key = entry.get("key") if isinstance(entry, dict) else None
    if not isinstance(name, str) or not isinstance(key, str):
        return "", ""
    try:
        return name, key if as_it_is else unquote_plus(key, errors="strict")
    except UnicodeDecodeError:
        return "", ""


def _written(record: tuple[object, str, str], prefixes: Sequence[str]) -> str | None:
    """Return the URI of the object that a record says was written; None if it says something else.

    Raises
    ------
    ValueError
        If it is malformed, or of an object below none of `prefixes`.
    """
    event, bucket, key = record
    if not isinstance(event, str) or not bucket or not key:
        raise ValueError("it lacks the event's name, the bucket's or the object's key")
    if not event.removeprefix("s3:").startswith(_CREATED):
        return None
    if "/" in bucket or len(key.encode(errors="surrogatepass")) > _LONGEST_KEY:
        raise ValueError("no bucket is called that, or no object has so long a key")
    if key.endswith("/"):  # stands for a folder
        return None
    uri = check_object_uri(f"s3://{bucket}/{key}")
    if not any(uri.startswith(f"{prefix}/") for prefix in prefixes):
        raise ValueError(_OUTSIDE)
    return uri
