"""The worker of queue `interpolate`: writes videos with more frames per second.

    celery -A workers.interpolating worker -Q interpolate -c 1

Any Celery client may send its task; a video takes minutes, so it has a queue of its own. A task whose message is
delivered again while it runs waits for its result, and one that is done answers as before.
"""

from __future__ import annotations

import logging
import time
from dataclasses import asdict
from pathlib import PurePath
from typing import Any

from celery import Task, states

from common.broker import INTERPOLATE_TASK, app
from common.errors import BadMessage, BadSource
from common.models.names import DEFAULT_MODEL
from common.models.vfi.interpolate import FACTORS, interpolate_video
from common.models.vfi.serving import of_stream, without_stream
from common.settings import get_settings
from common.sources.limits import Limits
from common.sources.local import source_path
from workers import (
    context,
    dead_letters,  # noqa: F401, messages that are no task become dead letters
)

log = logging.getLogger(__name__)

PROGRESS = "PROGRESS"
"""Custom Celery state of a running interpolation; its meta is `done` and `expected`, frames of the source."""
_TASK_SECONDS = 3600  # ends one that hangs
_TELL_EVERY_SECONDS = 1.0
_AGAIN_SECONDS = 30  # longer than the lease of a process that died


@app.task(
    name=INTERPOLATE_TASK, bind=True, ignore_result=False, soft_time_limit=_TASK_SECONDS, time_limit=_TASK_SECONDS + 60
)
def interpolate(self: Task, uri: str, out: str, factor: int = 2, stream: str = "", model: str = "") -> dict[str, Any]:
    """Write the video at `uri` to `out` in SENTINEL_INTERPOLATED_DIR, at `factor` times its frame rate.

    Parameters
    ----------
    uri : a path or file URI in an allowed folder
    out : path of the result below that folder, no part of which begins with a dot; an existing file is replaced
    factor : 2 or 4
    stream : whose champion is used; empty: starting weights
    model : whose starting weights are used where no stream is named; empty: those of `vfi`

    Returns
    -------
    `path`, `frames`, `source_frames`, `cuts`, `model` and `digest`.

    Raises
    ------
    BadMessage
        If an argument is of another type or value.
    Refused
        If the source or the result may not be there, or the source cannot be read.
    """
    names = all(isinstance(text, str) for text in (uri, out, stream, model)) and not (stream and model)
    if not names or not _is_name(out) or not _is_factor(factor):
        raise BadMessage(
            f"{INTERPOLATE_TASK} wants uri and out (paths), factor ({' or '.join(map(str, FACTORS))}) and perhaps a "
            f"stream or a model; it was sent uri={uri!r:.100}, out={out!r:.100}, factor={factor!r:.20}, "
            f"stream={stream!r:.100}, model={model!r:.100}"
        )
    settings, store = get_settings(), context.store()
    folder = settings.interpolated_root
    source, target = source_path(uri, settings.roots), source_path(str(folder / out), [folder])
    with store.interpolations.lease(str(target)) as held:
        known = self.backend.get_task_meta(self.request.id)
        if known["status"] == "SUCCESS":
            return dict(known["result"])
        if not held and known["status"] in {PROGRESS, states.RETRY}:
            # This very task runs elsewhere and will leave its result, or its process died and its lease has not ended.
            raise self.retry(countdown=_AGAIN_SECONDS, max_retries=None)
        if not held:
            raise BadSource(f"{target} is being written by another task: name another file, or send it again later")
        serving = of_stream(store, settings, stream) if stream else without_stream(model or DEFAULT_MODEL)
        limits = Limits.from_settings(settings)
        done = interpolate_video(source, target, serving.model, factor=factor, limits=limits, progress=Told(self))
    log.info("%s: %d frames of %d", target, done.frames, done.source_frames)
    return {"path": str(target), **asdict(done), "model": serving.description, "digest": serving.model.digest}


def _is_name(out: str) -> bool:
    """Return whether a result may have this name: hidden files are those that are being written."""
    return bool(out) and not any(part.startswith(".") and part != ".." for part in PurePath(out).parts)


def _is_factor(factor: object) -> bool:
    return isinstance(factor, int) and not isinstance(factor, bool) and factor in FACTORS


class Told:
    """Tells the result backend how far an interpolation is, every second."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._told = 0.0

    def __call__(self, done: int, expected: int) -> None:
        if time.monotonic() - self._told > _TELL_EVERY_SECONDS:
            self._told = time.monotonic()
            self._task.update_state(state=PROGRESS, meta={"done": done, "expected": expected})
