"""Notifications of object storage: what they name is looked at, and counts once; whatever else they hold is refused."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.camera_tokens import OBJECT_EVENTS, add_token
from common.contracts.batches import Submission
from common.errors import BadMessage, StorageUnavailable
from common.object_root import check_object_uri
from common.settings import Settings
from common.sources.objects.event_queue import EventQueue
from common.store import Store, keys
from common.store.noticed_objects import MOST_NOTICED
from producers import objects as objects_process
from producers.noticed_objects import NoticedObjects
from producers.object_events import MOST_EVENT_BYTES, note_notification, read_notification
from producers.objects import ObjectWatcher
from producers.queued_notifications import QueuedNotifications
from tests.objects import (
    BUCKET,
    SECRET_KEY,
    ObjectServer,
    object_server,
    objects,
    use_credentials,
)
from tests.producers.posting import Endpoint, running_endpoint
from tests.producers.watched_objects import PREFIX, clips, handed_in, letters, own, sandbox, watcher
from tests.served import Answer, wait_until

__all__ = ["clips", "object_server", "objects", "own", "sandbox", "watcher"]  # fixtures

Batch = tuple[str, str]


def record(key: object = "cameras/dock/a.mp4", event: object = "ObjectCreated:Put", bucket: object = BUCKET) -> Any:
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventTime": "2026-11-24T06:15:00.000Z",
        "eventName": event,
        "s3": {
            "s3SchemaVersion": "1.0",
            "bucket": {"name": bucket, "arn": f"arn:aws:s3:::{bucket}"},
            "object": {"key": key, "size": 1, "eTag": "0" * 32, "sequencer": "0055AED6DCD90281E5"},
        },
    }


def event(*records: Any) -> str:
    return json.dumps({"Records": list(records)})


def named(body: str) -> tuple[str, ...]:
    return read_notification(body, [PREFIX]).uris


# --- what they say ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key", ["cameras/dock/a.mp4", "cameras/dock 3/ä + b.mp4", "cameras/dock/100%25.mp4", "cameras/a/b/c/😀.png"]
)
def test_a_key_is_decoded_as_the_storage_encodes_it(key: str) -> None:
    uri = f"s3://{BUCKET}/{key}"
    assert named(event(record(quote_plus(key)), record(quote_plus(key, safe="/")))) == (uri,)


def test_the_forms_in_which_others_hand_it_on_are_read() -> None:
    uri = f"s3://{BUCKET}/cameras/dock/a.mp4"
    minio = {
        "EventName": "s3:ObjectCreated:CompleteMultipartUpload",
        "Key": f"{BUCKET}/cameras/dock/a.mp4",
        "Records": [record(event="s3:ObjectCreated:CompleteMultipartUpload")],
    }
    topic = {"Type": "Notification", "TopicArn": "arn:aws:sns:::t", "Message": event(record())}
    bridge = {
        "version": "0",
        "source": "aws.s3",
        "detail-type": "Object Created",
        "detail": {"bucket": {"name": BUCKET}, "object": {"key": "cameras/dock/a+b%20c.mp4"}},
    }
    assert named(json.dumps(minio)) == (uri,)
    assert named(json.dumps(topic)) == (uri,)
    assert named(json.dumps(bridge)) == (f"s3://{BUCKET}/cameras/dock/a+b%20c.mp4",), "here a key stands as it is"
    gone = read_notification(json.dumps({**bridge, "detail-type": "Object Deleted"}), [PREFIX])
    assert (gone.uris, gone.ignored, gone.refused) == ((), 1, 0)
    test = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": BUCKET}
    assert read_notification(json.dumps(test), [PREFIX]) == read_notification(event(), [PREFIX])


def test_what_is_no_writing_of_an_object_is_ignored() -> None:
    others = ["ObjectRemoved:Delete", "s3:ObjectRemoved:DeleteMarkerCreated", "ObjectTagging:Put", "s3:Replication:x"]
    found = read_notification(event(*(record("cameras/dock/a.mp4", name) for name in others), record()), [PREFIX])
    assert (len(found.uris), found.ignored, found.refused) == (1, len(others), 0)
    assert read_notification(event(record("cameras/dock/")), [PREFIX]).ignored == 1, "it stands for a folder"


HOSTILE = [
    record(bucket="other"),
    record(bucket="site/cameras", key="dock/a.mp4"),
    record(bucket=f"{BUCKET}@evil"),
    record(bucket=""),
    record("cameras-old/a.mp4"),
    record("cameras"),
    record("other/a.mp4"),
    record("/cameras/dock/a.mp4"),
    record("cameras/dock/../../secret/a.mp4"),
    record("cameras/dock/%2e%2e/%2E%2E/secret/a.mp4"),
    record("cameras//a.mp4"),
    record("cameras/dock/a%00.mp4"),
    record("cameras/dock/a\x00.mp4"),
    record("cameras/dock/%1b%5b2Ja.mp4"),
    record("cameras/dock/a\n.mp4"),
    record("cameras/dock/\ud800.mp4"),
    record("cameras/dock/%ff.mp4"),
    record("cameras/dock/a.mp4?versionId=1"),
    record("cameras/dock/" + "a" * 2000),
    record(""),
    record(7),
    record(None),
    record(["cameras/dock/a.mp4"]),
    record(event=None),
    record(event=["ObjectCreated:Put"]),
    record(bucket={"name": BUCKET}),
    {},
    None,
    7,
    "cameras/dock/a.mp4",
    [record()],
    {"eventName": "ObjectCreated:Put", "s3": []},
    {"eventName": "ObjectCreated:Put", "s3": {"bucket": [], "object": 1}},
]


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda row: repr(row)[-60:])
def test_a_record_of_anything_else_is_refused_and_those_beside_it_are_not(hostile: object) -> None:
    found = read_notification(event(hostile, record()), [PREFIX])
    assert (found.uris, found.ignored, found.refused) == ((f"s3://{BUCKET}/cameras/dock/a.mp4",), 0, 1)
    assert found.reason


NO_NOTIFICATION = [
    "", "{", "7", "null", "[]", '"Records"', "{}", '{"Records": null}', '{"Records": {}}', '{"Records": "x"}',
    '{"Message": "{"}', '{"Message": "[]"}', '{"Message": {"Records": []}}', "[" * 100_000, '{"a":' * 100_000,
    '{"Records": ' + "9" * 10_000 + "}", json.dumps({"Records": [record()] * 1001}),
    '{"Records": [' + "{}," * 100_000 + "{}]}", json.dumps({"Records": [record()], "x": "y" * MOST_EVENT_BYTES}),
]  # fmt: skip


@pytest.mark.parametrize("body", NO_NOTIFICATION, ids=lambda body: body[:30])
def test_what_is_no_notification_is_refused(body: str) -> None:
    for form in (body, body.encode()):
        with pytest.raises(BadMessage):
            read_notification(form, [PREFIX])


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from([BUCKET, "../x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["bucket", "object", "key", "name", "detail", "s3"]), inner, max_size=4)
    ),
    max_leaves=12,
)
KEYS = st.lists(st.sampled_from(["cameras", "..", ".", "", "%2e%2e", "a b", "a+b", "%00", "\x1b", "dock", "%ff"]))


@given(st.dictionaries(st.sampled_from(["Records", "Message", "detail", "detail-type", "Event"]), VALUES), KEYS, VALUES)
def test_whatever_is_sent_nothing_outside_the_prefix_is_ever_named(body: Any, parts: list[str], other: Any) -> None:
    body["Records"] = [record("/".join(["cameras", *parts, "a.mp4"])), other, record(other), record(bucket=other)]
    try:
        uris = named(json.dumps(body))
    except BadMessage:
        return
    assert all(uri.startswith(f"{PREFIX}/") and check_object_uri(uri) == uri for uri in uris)


# --- what becomes of them ---------------------------------------------------------------------------


def notified(watcher: ObjectWatcher, store: Store, *keys_written: str) -> int:
    """Note that objects were written, and look at them; return how many were new."""
    note_notification(event(*(record(quote_plus(key)) for key in keys_written)), watcher.settings, store)
    return NoticedObjects(watcher).hand_in(threading.Event(), lambda: None)


@pytest.mark.parametrize("first", ["notified", "listed"])
def test_an_object_counts_once_whichever_way_it_is_found_first(
    watcher: ObjectWatcher, store: Store, objects: ObjectServer, clips: list[bytes], first: str
) -> None:
    key = "cameras/dock 3/2026/a+ä.mp4"
    uri = objects.put(key, clips[0])
    ways = {"notified": lambda: notified(watcher, store, key, key), "listed": lambda: watcher.hand_in(PREFIX)}
    other = "listed" if first == "notified" else "notified"
    assert [ways[first](), ways[other](), ways[first]()] == [1, 0, 0]
    objects.put(key, clips[1])
    assert [ways[other](), ways[first](), ways[other]()] == [1, 0, 0], "another content is another version"
    assert handed_in(store) == {("dock 3", uri): 2}
    restarted = ObjectWatcher(watcher.settings, store, watcher.ingestor)
    assert (notified(restarted, store, key), restarted.hand_in(PREFIX)) == (0, 0)
    assert not letters(store)


def test_what_is_gone_hidden_or_no_video_is_left_alone_and_what_is_no_source_is_a_dead_letter(
    watcher: ObjectWatcher, store: Store, objects: ObjectServer, clips: list[bytes]
) -> None:
    hidden = ["cameras/dock/.a.mp4", "cameras/dock/readme.txt"]
    for key in hidden:
        objects.put(key, clips[0])
    assert notified(watcher, store, *hidden, "cameras/dock/never.mp4") == 0
    assert store.client.zcard(keys.OBJECTS_NOTICED) == 0
    assert not letters(store)
    objects.put("cameras/lost.mp4", clips[0])
    objects.put("cameras/dock/broken.mp4", b"no video")
    assert notified(watcher, store, "cameras/lost.mp4", "cameras/dock/broken.mp4") == 2
    assert watcher.hand_in(PREFIX) == 0, "the listing makes no second letter of them"
    assert len(letters(store)) == 2
    assert not handed_in(store)


def test_while_the_storage_is_away_what_was_notified_waits_and_is_not_lost(
    watcher: ObjectWatcher, store: Store, objects: ObjectServer, clips: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    written = [f"cameras/dock/{name}.mp4" for name in "abcd"]
    uris = [objects.put(key, clips[0] + name) for key, name in zip(written, [b"a", b"b", b"c", b"d"], strict=True)]
    noticed, stop = NoticedObjects(watcher), threading.Event()
    note_notification(event(*map(record, written)), watcher.settings, store)
    objects.answers = 0
    for _ in range(2):
        assert noticed.hand_in(stop, lambda: None) == 0
    assert store.client.zcard(keys.OBJECTS_NOTICED) == 4
    assert noticed._held_until > 0, "nobody asks again at once"
    objects.answers = 1_000
    noticed._held_until = 0.0
    assert noticed.hand_in(stop, lambda: None) == 4
    assert handed_in(store) == {("dock", uri): 1 for uri in uris}
    assert SECRET_KEY not in caplog.text


def test_an_object_that_the_storage_never_gives_is_left_to_the_listing_and_in_nobodys_way(
    watcher: ObjectWatcher, store: Store, objects: ObjectServer, clips: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    objects.put("cameras/dock/a.mp4", clips[0])
    objects.put("cameras/dock/b.mp4", clips[1])
    submit = watcher.ingestor.submit

    def refusing(stream: str, source: str) -> Submission:
        if source.endswith("a.mp4"):
            raise StorageUnavailable(f"{source}: of this one nothing is given")
        return submit(stream, source)

    noticed, stop = NoticedObjects(watcher), threading.Event()
    with monkeypatch.context() as patched:
        patched.setattr(watcher.ingestor, "submit", refusing)
        note_notification(event(record("cameras/dock/a.mp4"), record("cameras/dock/b.mp4")), watcher.settings, store)
        handed = 0
        while store.client.zcard(keys.OBJECTS_NOTICED):
            noticed._held_until = 0.0
            handed += noticed.hand_in(stop, lambda: None)
        assert handed == 1
    assert watcher.hand_in(PREFIX) == 1
    assert len(handed_in(store)) == 2


# --- by a queue -------------------------------------------------------------------------------------


@pytest.fixture
def queue(objects: ObjectServer) -> Iterator[EventQueue]:
    """A queue to which the bucket notifies of all that happens to it."""
    sqs = objects.client_of("sqs")
    url = sqs.create_queue(QueueName="written", Attributes={"VisibilityTimeout": "0"})["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    rule = {"QueueArn": arn, "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]}
    objects.client.put_bucket_notification_configuration(
        Bucket=BUCKET, NotificationConfiguration={"QueueConfigurations": [rule]}
    )
    found = EventQueue(url, "us-east-1")
    yield found
    objects.client.put_bucket_notification_configuration(Bucket=BUCKET, NotificationConfiguration={})
    sqs.delete_queue(QueueUrl=url)


def test_what_a_real_bucket_says_of_itself_by_a_queue_counts_once(
    watcher: ObjectWatcher,
    own: Settings,
    store: Store,
    objects: ObjectServer,
    clips: list[bytes],
    queue: EventQueue,
    caplog: pytest.LogCaptureFixture,
) -> None:
    uri = objects.put("cameras/dock 3/a+b.mp4", clips[0])
    objects.put("elsewhere/a.mp4", clips[0])
    objects.delete("elsewhere/a.mp4")
    sqs = objects.client_of("sqs")
    for body in ("no JSON", event(*HOSTILE)):
        sqs.send_message(QueueUrl=queue.url, MessageBody=body)
    reader, read = QueuedNotifications(own, store, queue), 0
    while read < 5:
        read += reader.step()
    assert store.client.zrange(keys.OBJECTS_NOTICED, 0, -1) == [uri.encode()]
    assert NoticedObjects(watcher).hand_in(threading.Event(), lambda: None) == 1
    assert watcher.hand_in(PREFIX) == 0
    assert handed_in(store) == {("dock 3", uri): 1}
    left = sqs.get_queue_attributes(QueueUrl=queue.url, AttributeNames=["All"])["Attributes"]
    assert left["ApproximateNumberOfMessages"] == "0", "what is read, or can never be, does not come again"
    assert caplog.text.count("were refused") == 1
    assert "secret" not in caplog.text


def test_a_message_stays_in_the_queue_while_what_it_names_cannot_be_noted(
    own: Settings, store: Store, objects: ObjectServer, clips: list[bytes], queue: EventQueue
) -> None:
    uri = objects.put("cameras/dock/a.mp4", clips[0])
    store.client.zadd(keys.OBJECTS_NOTICED, {f"s3://x/{number}": 0 for number in range(MOST_NOTICED)})
    reader, stop = QueuedNotifications(own, store, queue), threading.Event()
    thread = threading.Thread(target=reader.run, args=(stop,))
    thread.start()
    wait_until("it to find no room", lambda: reader._said)
    store.client.delete(keys.OBJECTS_NOTICED)
    wait_until("it to be noted", lambda: store.client.zrange(keys.OBJECTS_NOTICED, 0, -1) == [uri.encode()])
    stop.set()
    objects.client_of("sqs").send_message(QueueUrl=queue.url, MessageBody="for which it waits")
    thread.join(30)
    assert not thread.is_alive()


def test_a_queue_that_refuses_is_said_without_what_was_sent_there(
    objects: ObjectServer, queue: EventQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_credentials(monkeypatch, "AKIASOMEBODYELSE", "another-secret")
    with pytest.raises(StorageUnavailable, match="credentials") as refused:
        queue.receive()
    assert not any(word in str(refused.value) for word in ("AKIA", "another-secret"))
    with pytest.raises(StorageUnavailable, match="does not answer"):
        EventQueue("http://127.0.0.1:9/1/none", "us-east-1").receive()


# --- over HTTP --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def endpoint(redis_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    folder = tmp_path_factory.mktemp("events")
    settings = Settings(
        _env_file=None,  # type: ignore[call-arg]
        redis_url=redis_server.url,
        state_dir=folder / "state",
        watch_dir=folder / "incoming",
        baselines_dir=folder / "baselines",
    )
    with running_endpoint(settings, folder, SENTINEL_WATCH_OBJECTS=PREFIX) as endpoint:
        endpoint.known[OBJECT_EVENTS] = add_token(endpoint.tokens, OBJECT_EVENTS)
        yield endpoint


def notify(endpoint: Endpoint, body: Any, token: str | None = None) -> Answer:
    headers = {"Authorization": f"Bearer {endpoint.known[OBJECT_EVENTS] if token is None else token}"}
    return endpoint.request("POST", "/objects/events", body, headers)


def waiting(store: Store) -> list[bytes]:
    return list(store.client.zrange(keys.OBJECTS_NOTICED, 0, -1))


def test_the_storages_token_is_no_cameras_and_a_cameras_is_none_of_it(endpoint: Endpoint, store: Store) -> None:
    camera = endpoint.token("dock")
    for token in (camera, "", "wrong", "é"):
        assert notify(endpoint, event(record()), token).status == 401
    for name in ("dock", OBJECT_EVENTS, "%7Bobject-events%7D"):
        own = {"Authorization": f"Bearer {endpoint.known[OBJECT_EVENTS]}", "Content-Type": "image/png"}
        assert endpoint.request("POST", f"/streams/{name}/frames", b"x", own).status == 401
    assert endpoint.request("GET", "/objects/events").status == 405
    assert waiting(store) == [] and store.streams.names() == []


def test_what_is_sent_is_answered_by_what_it_is_and_none_of_it_is_logged(endpoint: Endpoint, store: Store) -> None:
    answer = notify(endpoint, event(record("cameras/dock+3/a.mp4"), record(event="ObjectRemoved:Delete")))
    assert (answer.status, answer.json) == (202, {"noticed": 1, "ignored": 1, "refused": 0})
    assert waiting(store) == [b"s3://site/cameras/dock 3/a.mp4"]
    answer = notify(endpoint, event(record("secrets/a.mp4"), record()))
    assert (answer.status, answer.json["noticed"], answer.json["refused"]) == (422, 1, 1)
    assert "SENTINEL_WATCH_OBJECTS" in answer.json["error"] and "secrets" not in answer.json["error"]
    for body in NO_NOTIFICATION:
        assert notify(endpoint, body).status == (413 if len(body) > MOST_EVENT_BYTES else 400), body[:40]
    chunked = (b"x" * 65_536 for _ in range(20))
    assert notify(endpoint, chunked).status == 413
    assert notify(endpoint, event(*HOSTILE)).status == 422
    assert len(waiting(store)) == 2
    assert endpoint.files() == []
    said = endpoint.log.read_text()
    assert not any(word in said for word in (endpoint.known[OBJECT_EVENTS], "secret", "Traceback", "dock")), said


def test_while_too_much_waits_the_storage_is_told_so_and_cameras_are_served(endpoint: Endpoint, store: Store) -> None:
    store.client.zadd(keys.OBJECTS_NOTICED, {f"s3://x/{number}": 0 for number in range(MOST_NOTICED)})
    answer = notify(endpoint, event(record()))
    assert (answer.status, int(answer.headers["retry-after"]) > 0) == (429, True)
    assert len(waiting(store)) == MOST_NOTICED
    assert endpoint.post("dock", b"no image").status == 415
    assert notify(endpoint, event(record(event="ObjectRemoved:Delete"))).status == 202
    store.client.delete(keys.OBJECTS_NOTICED)
    assert notify(endpoint, event(record())).status == 202


def test_what_is_posted_is_handed_in_by_the_process_that_lists_long_before_it_lists_again(
    endpoint: Endpoint, own: Settings, store: Store, objects: ObjectServer, clips: list[bytes]
) -> None:
    seldom = own.model_copy(update={"objects_seconds": 86_400.0})
    listed = objects.put("cameras/dock/a.mp4", clips[0])
    stop = threading.Event()
    process = threading.Thread(target=objects_process.main, args=(seldom, stop, lambda: None))
    process.start()
    try:
        wait_until("the first listing", lambda: handed_in(store) == {("dock", listed): 1})
        written = objects.put("cameras/gate/b.mp4", clips[1])
        assert notify(endpoint, event(record("cameras/gate/b.mp4"), record())).status == 202
        wait_until("the object", lambda: handed_in(store) == {("dock", listed): 1, ("gate", written): 1})
        wait_until("both to be looked at", lambda: not waiting(store))
    finally:
        stop.set()
        process.join(30)
    assert handed_in(store) == {("dock", listed): 1, ("gate", written): 1}
