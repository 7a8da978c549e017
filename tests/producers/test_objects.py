"""Watched prefixes: each version of an object is handed in once, to the stream that its key names."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import cv2
import pytest

import producers.objects
from common.contracts.batches import Submission
from common.contracts.dead_letters import DeadLetterKind
from common.contracts.events import FRAME_EVENT, source_offer
from common.errors import StorageUnavailable
from common.ingest.accept import Ingestor
from common.ingest.retry import retry
from common.ingest.scheduled import hand_in
from common.object_root import ObjectStorage
from common.settings import Settings
from common.sources.objects.storage import ObjectVersion, list_objects
from common.store import Store
from common.store.ingest import offer
from producers.camera_events import CameraEvents
from producers.objects import ObjectWatcher
from tests.footage import scene
from tests.objects import SECRET_KEY, ObjectServer, object_server, objects, use_credentials
from tests.producers.watched_objects import PREFIX, clips, handed_in, letters, own, sandbox, watcher

__all__ = ["clips", "object_server", "objects", "own", "sandbox", "watcher"]  # fixtures


def still(number: int) -> bytes:
    return cv2.imencode(".png", scene(number + 1)[number])[1].tobytes()


def test_each_version_of_an_object_goes_to_its_stream_once(
    watcher: ObjectWatcher, store: Store, objects: ObjectServer, clips: list[bytes]
) -> None:
    first = objects.put("cameras/dock/2026/11/24/0615.mp4", clips[0])
    second = objects.put("cameras/gate/a.png", still(0))
    objects.put("cameras/dock/readme.txt", b"x")
    assert watcher.hand_in(PREFIX) == 2
    assert watcher.hand_in(PREFIX) == 0
    assert handed_in(store) == {("dock", first): 1, ("gate", second): 1}
    objects.put("cameras/dock/2026/11/24/0615.mp4", clips[1])
    assert watcher.hand_in(PREFIX) == 1
    assert handed_in(store) == {("dock", first): 2, ("gate", second): 1}
    objects.requests.clear()
    restarted = ObjectWatcher(watcher.settings, store, watcher.ingestor)
    assert restarted.hand_in(PREFIX) == 0
    assert [row.method for row in objects.requests] == ["GET"], "a listing costs one request, however much there was"
    assert not letters(store)


def test_what_redis_forgot_is_known_by_its_content(
    watcher: ObjectWatcher, store: Store, objects: ObjectServer, clips: list[bytes]
) -> None:
    uri = objects.put("cameras/dock/a.mp4", clips[0])
    assert watcher.hand_in(PREFIX) == 1
    store.watched_objects.remove(PREFIX, store.watched_objects.handed_in(PREFIX))
    again = ObjectWatcher(watcher.settings, store, watcher.ingestor)
    assert again.hand_in(PREFIX) == 1
    assert handed_in(store) == {("dock", uri): 1}


def test_what_is_deleted_is_no_longer_remembered(
    watcher: ObjectWatcher, store: Store, objects: ObjectServer, clips: list[bytes]
) -> None:
    objects.put("cameras/dock/a.mp4", clips[0])
    watcher.hand_in(PREFIX)
    assert len(store.watched_objects.handed_in(PREFIX)) == 1
    objects.delete("cameras/dock/a.mp4")
    watcher.hand_in(PREFIX)
    assert not store.watched_objects.handed_in(PREFIX)


def test_what_is_deleted_is_forgotten_while_the_storage_does_not_give_what_is_new(
    watcher: ObjectWatcher, store: Store, objects: ObjectServer, clips: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    objects.put("cameras/dock/a.mp4", clips[0])
    watcher.hand_in(PREFIX)
    for name in "bcd":
        objects.put(f"cameras/dock/{name}.mp4", clips[1])

    def refusing(stream: str, source: str) -> Submission:
        raise StorageUnavailable(f"{source}: of this one nothing is given")

    monkeypatch.setattr(watcher.ingestor, "submit", refusing)
    with pytest.raises(StorageUnavailable):
        watcher.hand_in(PREFIX)
    assert watcher._said
    for name in "abcd":
        objects.delete(f"cameras/dock/{name}.mp4")
    objects.put("cameras/dock/e.mp4", clips[1])
    objects.put("cameras/dock/f.mp4", clips[1])
    objects.put("cameras/dock/g.mp4", clips[1])
    with pytest.raises(StorageUnavailable):
        watcher.hand_in(PREFIX)
    assert not store.watched_objects.handed_in(PREFIX)
    assert all(name in {f"{PREFIX}/dock/{kept}.mp4" for kept in "efg"} for name in watcher._said)


def test_the_process_is_seen_alive_while_it_lists(
    watcher: ObjectWatcher, store: Store, objects: ObjectServer, clips: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = objects.put("cameras/dock/a.mp4", clips[0])
    beaten = threading.Event()

    def slow(prefix: str, storage: ObjectStorage) -> list[tuple[str, ObjectVersion]]:
        assert beaten.wait(30), "nobody beats while it lists"
        return list_objects(prefix, storage)

    monkeypatch.setattr(producers.objects, "list_objects", slow)
    monkeypatch.setattr(producers.objects, "_BEAT_SECONDS", 0.01)
    assert watcher.hand_in(PREFIX, beat=beaten.set) == 1
    assert handed_in(store) == {("dock", uri): 1}


def test_what_can_be_no_source_is_a_dead_letter_that_can_be_retried(
    watcher: ObjectWatcher, store: Store, objects: ObjectServer, clips: list[bytes]
) -> None:
    objects.put("cameras/lost.mp4", clips[0])
    objects.put("cameras/{braces}/a.mp4", clips[0])
    objects.put("cameras/dock//a.mp4", clips[0])
    broken = objects.put("cameras/dock/broken.mp4", b"no video")
    whole = objects.put("cameras/dock/whole.mp4", clips[1])
    assert watcher.hand_in(PREFIX) == 5
    assert watcher.hand_in(PREFIX) == 0
    assert handed_in(store) == {("dock", whole): 1}
    said = letters(store)
    assert len(said) == 4
    assert {"lies in no stream" in reason for stream, reason in said if not stream} == {True}
    (letter,) = [row for row in store.event_log.dead_letters() if row.subject == broken]
    assert letter.kind is DeadLetterKind.SOURCE
    # The corrected object counts by itself, whoever comes first: the listing, or a person with the dead letter.
    objects.put("cameras/dock/broken.mp4", clips[2])
    assert retry(letter, store, watcher.ingestor) == "accepted"
    assert watcher.hand_in(PREFIX) == 1
    assert handed_in(store) == {("dock", whole): 1, ("dock", broken): 1}


def test_a_storage_that_is_away_or_refuses_costs_nothing_and_is_said_once(
    watcher: ObjectWatcher,
    store: Store,
    objects: ObjectServer,
    clips: list[bytes],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    uri = objects.put("cameras/dock/a.mp4", clips[0])
    use_credentials(monkeypatch, "AKIASOMEBODYELSE", "another-secret")
    stop = threading.Event()
    for _ in range(2):
        assert watcher._look(PREFIX, stop, lambda: None) == watcher.settings.objects_seconds
    assert len([row for row in caplog.records if "refuses access" in row.getMessage()]) == 1
    use_credentials(monkeypatch, "AKIAOBSERVABLE", SECRET_KEY)
    objects.answers = 1  # the listing, and nothing of the object
    watcher._look(PREFIX, stop, lambda: None)
    assert not handed_in(store) and not letters(store)
    objects.answers = 1_000
    watcher._look(PREFIX, stop, lambda: None)
    assert handed_in(store) == {("dock", uri): 1}
    assert not any(text in caplog.text for text in ("another-secret", SECRET_KEY, "AKIA"))


def test_a_bucket_that_is_missing_is_said(
    own: Settings, store: Store, ingestor: Ingestor, caplog: pytest.LogCaptureFixture
) -> None:
    elsewhere = own.model_copy(update={"watch_objects": ("s3://nowhere/x",)})
    ObjectWatcher(elsewhere, store, ingestor)._look("s3://nowhere/x", threading.Event(), lambda: None)
    assert "s3://nowhere/x" in caplog.text


def test_a_camera_event_and_a_schedule_may_name_objects(
    watcher: ObjectWatcher, own: Settings, store: Store, objects: ObjectServer, clips: list[bytes]
) -> None:
    one, two = objects.put("cameras/a.mp4", clips[0]), objects.put("cameras/rec/b.mp4", clips[1])
    events = CameraEvents(store, watcher.ingestor)
    offer(store.client, source_offer("dock", "e1", FRAME_EVENT, one))
    offer(store.client, source_offer("dock", "e2", FRAME_EVENT, "s3://secrets/b.mp4"))
    assert hand_in(store, own, "gate", "s3://site/cameras/rec") == 1
    assert hand_in(store, own, "gate", "s3://site/cameras/rec") == 0
    while events.step():
        pass
    assert handed_in(store) == {("dock", one): 1, ("gate", two): 1}
    assert ["SENTINEL_OBJECT_ROOTS" in reason for _, reason in letters(store)] == [True]


def test_a_camera_event_waits_for_a_storage_that_is_away_and_holds_up_nobody(
    watcher: ObjectWatcher, store: Store, objects: ObjectServer, clips: list[bytes]
) -> None:
    uri = objects.put("cameras/a.mp4", clips[0])
    events = CameraEvents(store, watcher.ingestor)
    offer(store.client, source_offer("dock", "e1", FRAME_EVENT, uri))
    objects.answers = 0
    while events.step():
        pass
    (letter,) = store.event_log.dead_letters()
    assert "does not answer" in letter.reason
    objects.answers = 1_000
    retry(letter, store, watcher.ingestor)
    while events.step():
        pass
    assert handed_in(store) == {("dock", uri): 1}


KILLED = """
import os, signal, sys
from pathlib import Path
import common.modalities.video.modality, s3fs  # once, not in each child
from common import broker
from common.ingest.accept import Ingestor
from common.settings import get_settings
from common.store import open_store
from producers.objects import ObjectWatcher

class Here:
    "In place of the sandbox, which would be started for each child."
    def call(self, function, *arguments, subject, timeout=None):
        return function(*arguments)
    def close(self): ...

def die_at(turn, call, *, after):
    turns = iter(range(1000))
    def dying(*arguments, **options):
        last = next(turns) == turn
        if last and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        answer = call(*arguments, **options)
        if last:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer
    return dying

def child(place, turn):
    settings = get_settings()
    broker.app = broker.make_app(settings)
    store = open_store(settings)
    ingestor = Ingestor(settings, store)
    ingestor.sandbox = ingestor.features._sandbox = Here()
    if place == "before it is registered":
        store.batches.register = die_at(turn, store.batches.register, after=False)
    if place == "before it is remembered":
        store.watched_objects.add = die_at(turn, store.watched_objects.add, after=False)
    if place == "after it is remembered":
        store.watched_objects.add = die_at(turn, store.watched_objects.add, after=True)
    print(ObjectWatcher(settings, store, ingestor).hand_in(settings.watch_objects[0]), flush=True)

PLACES = ["before it is registered", "before it is remembered", "after it is remembered"]
for number in range(9):
    pid = os.fork()
    if not pid:
        child(PLACES[number % 3], number % 2)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL, number
child("nowhere", 0)
"""


def test_a_lister_that_is_killed_again_and_again_loses_and_doubles_nothing(
    own: Settings, store: Store, objects: ObjectServer, tmp_path: Path
) -> None:
    uris = [objects.put(f"cameras/{stream}/{number}.png", still(number)) for stream in "ab" for number in range(8)]
    environment = {
        "SENTINEL_REDIS_URL": own.redis_url or "",
        "SENTINEL_STATE_DIR": str(own.state_dir),
        "SENTINEL_WATCH_DIR": str(own.watch_dir),
        "SENTINEL_BASELINES_DIR": str(own.baselines_dir),
        "SENTINEL_BASELINE": "test",
        "SENTINEL_WATCH_OBJECTS": PREFIX,
        "SENTINEL_OBJECT_ENDPOINT": objects.url,
        "SENTINEL_OBJECT_REGION": "us-east-1",
    }
    done = subprocess.run(
        [sys.executable, "-c", KILLED], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert handed_in(store) == {(uri.split("/")[4], uri): 1 for uri in uris}
    assert 0 < int(done.stdout) < len(uris), "nothing was left of what the killed ones did"
    assert not letters(store)
    assert SECRET_KEY not in done.stdout + done.stderr


def test_the_same_content_under_another_key_is_another_object(
    watcher: ObjectWatcher, store: Store, objects: ObjectServer, clips: list[bytes]
) -> None:
    objects.put("cameras/dock/a.mp4", clips[0])
    objects.put("cameras/dock/b.mp4", clips[0])
    assert watcher.hand_in(PREFIX) == 2
    assert len(handed_in(store)) == 2


def test_an_object_that_the_storage_does_not_give_is_in_nobodys_way(
    watcher: ObjectWatcher, store: Store, objects: ObjectServer, clips: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    objects.put("cameras/dock/a.mp4", clips[0])
    other = objects.put("cameras/dock/b.mp4", clips[1])
    submit = watcher.ingestor.submit

    def refusing(stream: str, source: str) -> Submission:
        if source.endswith("a.mp4"):
            raise StorageUnavailable(f"{source}: of this one nothing is given")
        return submit(stream, source)

    with monkeypatch.context() as patched:
        patched.setattr(watcher.ingestor, "submit", refusing)
        assert watcher.hand_in(PREFIX) == 1
        assert handed_in(store) == {("dock", other): 1}
    assert watcher.hand_in(PREFIX) == 1
