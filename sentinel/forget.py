"""Taking a stream out whole: what Redis and the state folder hold of it. Its sources are the user's and stay, but
for what live cameras sent."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from common.baselines.accepted_baseline import folder_of
from common.baselines.learning.epoch import learned_root
from common.contracts.ids import Message, check_stream_name
from common.errors import BadMessage, UnknownStream
from common.models.condition_records import drop_conditions_of_stream
from common.models.conditions import ConditionFile
from common.models.folders import conditions_root
from common.settings import Settings
from common.store import Store
from producers.cameras.spool import remove_spool
from producers.cloud_event import stream_of
from producers.spool import posted_files, remove_forgotten, stream_folder


class Forgotten(Message):
    """What was taken out."""

    stream: str
    keys: int = Field(description="keys in Redis: window, evidence, images, incidents, history")
    events: int = Field(description="of the stream, and about models that name it")
    camera_events: int = Field(description="that waited to be accepted, with the images in them")
    truth: int = Field(0, description="messages of what is true of its frames that waited to be taken in")
    dead_letters: int
    conditions: int = Field(description="folders with footage of the stream that champions were proved on")
    baselines: int = Field(description="accepted baselines")
    bursts: int = Field(0, description="bursts of frames that it has learned, with the pictures that were kept of them")
    posted: int = Field(0, description="files that were posted over HTTP")
    came_back: bool = Field(description="whether footage came meanwhile, with which the stream begins anew")


def require_any(store: Store, settings: Settings, stream: str) -> None:
    """Raise `UnknownStream` if nothing of `stream` is stored anywhere; a half-forgotten one may be forgotten again."""
    if (
        store.streams.is_known(stream)
        or stream in store.golden.waiting()
        or store.forgetting.keys_of(stream)
        or folder_of(settings.state_dir, stream).exists()
        or learned_root(settings.state_dir, stream).exists()
        or stream_folder(settings.posted_dir, stream).exists()
        or any(letter.stream == stream for letter in store.event_log.dead_letters())
    ):
        return
    raise UnknownStream(f"there is no stream {stream!r}, so nothing to forget: see `sentinel streams list`")


def forget(store: Store, settings: Settings, stream: str) -> Forgotten:
    """Delete all that Sentinel keeps of `stream`.

    It first takes away what makes it a stream, so that workers which are busy with it change nothing any more. If
    it is interrupted, it may be called again.
    """
    posted = posted_files(settings.posted_dir, stream)  # what comes later is of the stream that begins anew
    keys, came_back = store.forgetting.forget(stream)
    store.champions.forget(stream)
    store.alerts.forget(stream)
    drop_conditions_of_stream(store, stream)
    letters = [letter for letter in store.event_log.dead_letters() if letter.stream == stream]
    for letter in letters:
        store.event_log.drop(letter)
    folder = folder_of(settings.state_dir, stream)
    baselines = len(list(folder.iterdir())) if folder.is_dir() else 0
    shutil.rmtree(folder, ignore_errors=True)
    learned = learned_root(settings.state_dir, stream)
    bursts = len(list(learned.glob("*/bursts/*")))
    shutil.rmtree(learned, ignore_errors=True)
    remove_spool(settings.live_dir, stream)
    return Forgotten(
        stream=stream,
        keys=keys,
        camera_events=store.forgetting.delete_camera_events(lambda fields: _names(fields, stream)),
        truth=store.forgetting.delete_truth(lambda fields: _is_truth_of(fields, stream)),
        dead_letters=len(letters),
        conditions=_remove_conditions(settings.state_dir, stream),
        baselines=baselines,
        bursts=bursts,
        posted=remove_forgotten(settings.posted_dir, store, stream, posted),
        # Last, because dropping conditions announces it.
        events=store.forgetting.delete_events(stream),
        came_back=came_back,
    )


def _names(fields: Mapping[bytes, bytes], stream: str) -> bool:
    """Return whether an entry of `sentinel:ingest` is about `stream`."""
    try:
        return stream_of(fields.get(b"source", b"").decode()) == stream
    except ValueError:
        return False


def _is_truth_of(fields: Mapping[bytes, bytes], stream: str) -> bool:
    """Return whether an entry of `sentinel:truth` is about `stream`."""
    try:
        return check_stream_name(fields.get(b"stream", b"").decode()) == stream
    except ValueError:
        return False


def _remove_conditions(state_dir: Path, stream: str) -> int:
    """Remove the footage of conditions of `stream`, also of those that no champion names any more; return how many."""
    count = 0
    for file in sorted(conditions_root(state_dir).glob("*/*/condition.json")):
        try:
            name = ConditionFile.from_json(file.read_bytes()).summary.name
        except (BadMessage, OSError):
            continue  # whose it is cannot be told, and no champion can use it
        if name.rpartition("@")[0] == stream:
            shutil.rmtree(file.parent, ignore_errors=True)
            count += 1
    return count
