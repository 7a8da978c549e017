"""The worker of queue `embed`: computes the features of chunks.

celery -A workers.embedding worker -Q embed
"""

from __future__ import annotations

import logging
import os
import time

from billiard.exceptions import SoftTimeLimitExceeded
from celery import Task
from celery.signals import worker_process_init

from common import broker
from common.broker import EMBED_TASK, app
from common.contracts.batches import BatchState, Chunk, SourceKind
from common.contracts.dead_letters import DeadLetterKind
from common.contracts.events import FRAME_EVENT, event_key, source_offer
from common.contracts.ids import check_stream_name, content_id
from common.errors import BadMessage, BadSource, BaselineMismatch, Refused, StorageUnavailable
from common.extraction import Look
from common.features import FeatureBlock
from common.ingest.accept import data_batch, event_batch_id
from common.resource_limits import limit_memory
from common.settings import get_settings
from common.sources.capture_time import CaptureTimes
from common.sources.identity import accepted, digest_of, file_version, no_longer_accepted
from common.sources.local import printable, source_path
from common.store.chunks import Finished
from common.store.event_log import dead_letter
from common.store.ingest import offer
from workers import (
    context,
    dead_letters,  # noqa: F401, it listens to Celery's signals
    pictures,
    preparing,  # noqa: F401, its task runs on this queue
    scoring,
)

log = logging.getLogger(__name__)

_RETRY_SECONDS = 1.0  # a temporary failure, such as an unavailable file system, gets time to pass
_STORAGE_RETRY_SHARE = 1 / 3
"""Of `visibility_seconds`: object storage that is restarted gets more, so that its chunks do not all become dead
letters; a task that waited for longer than those would be delivered twice."""


@worker_process_init.connect
def warm_up(**_: object) -> None:
    """Load the default backbone at the start of the process. If that fails, each chunk fails with the reason."""
    settings = get_settings()
    limit_memory(settings.max_memory_mb)
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(settings.threads))  # of champions that are scored
    try:
        spec = context.default_feature_spec()
        if spec is not None:
            context.extractor(spec)
    except Exception:
        log.exception("the backbone does not load; chunks will be refused until it does")


@app.task(name=EMBED_TASK, bind=True, ignore_result=False)
def embed(
    self: Task, chunk: str | None = None, stream: str | None = None, uri: str | None = None
) -> dict[str, str] | None:
    """Embed one chunk; or, called by name with `stream` and `uri`, offer a whole source.

    Producers send `chunk`, a `contracts.batches.Chunk` as JSON, and ignore the result.
    Any Celery client may send `stream` and `uri` instead. The result then says which
    `batch` the source is, how far it is (`state`, see `BatchState`), its `stream`, and
    the id of the `event` by which it was offered. Sent again, it says how far it is by
    then. The task fails if the source does not exist or may not be read; if it is
    refused later, that is a dead letter.
    """
    if chunk is None:
        return offer_source(stream, uri)
    try:
        work = Chunk.from_json(chunk)
    except BadMessage as error:
        raise BadMessage(f"sentinel.embed was sent a bad chunk, send stream and uri instead: {error}") from error
    if finish(self, work) is Finished.READY:
        broker.send_reduce(work.stream)
    return None


def offer_source(stream: object, uri: object) -> dict[str, str]:
    """Write an event about a source to `sentinel:ingest`, where a producer accepts it, unless one has.

    The event's id is derived from stream, URI, and the file's size and times, so that a task that runs twice
    counts once. Stream, event and path make the batch's id, so it is known before the batch is.

    Raises
    ------
    Refused
        If the stream's name is not valid, or the source does not exist or may not be read.
    """
    try:
        if not isinstance(stream, str) or not isinstance(uri, str) or not uri:
            raise ValueError(f"it was sent stream={stream!r:.100} and uri={uri!r:.100}")
        name = check_stream_name(stream)
    except ValueError as error:
        raise BadMessage(f"sentinel.embed wants a stream and a uri (a path or file URI): {error}") from error
    path = source_path(uri, get_settings().roots)
    event_id = content_id(name, uri, file_version(path))
    event = source_offer(name, event_id, FRAME_EVENT, uri)
    batch_id = event_batch_id(name, event_key(event["source"], event_id), printable(path))
    state = context.store().batches.state(name, batch_id)
    if state is BatchState.OFFERED:
        offer(context.store().client, event)
    return {"batch": batch_id, "state": state.value, "stream": name, "event": event_id}


def finish(task: Task, chunk: Chunk) -> Finished:
    """Compute and store the features of `chunk`, or give it up with a reason.

    A refusal gives it up at once; any other error, after `SENTINEL_MAX_DELIVERIES` deliveries. Until then the task
    is retried.
    """
    chunks, most = context.store().chunks, get_settings().max_deliveries
    deliveries = chunks.count_delivery(chunk, task.request.id or "", app.conf.task_soft_time_limit)
    if deliveries == 0:
        return Finished.UNKNOWN
    try:
        if deliveries > most:
            raise BadSource(
                f"{chunk.source.uri}: {most} workers died or hung on frames {chunk.start} to {chunk.stop or 'the end'}"
            )
        began = time.monotonic()
        taken = pictures.taker(get_settings(), chunk)
        features = extract(chunk, taken)
        seconds = time.monotonic() - began
    except Refused as error:
        return give_up(chunk, error)
    except (Exception, SoftTimeLimitExceeded) as trouble:
        reason = too_slow(chunk) if isinstance(trouble, SoftTimeLimitExceeded) else trouble
        if deliveries >= most:
            return give_up(chunk, reason)
        log.warning(
            "chunk %s failed (%s: %s), delivery %d of %d", chunk.id, type(reason).__name__, reason, deliveries, most
        )
        stored = isinstance(trouble, StorageUnavailable)
        countdown = get_settings().visibility_seconds * _STORAGE_RETRY_SHARE if stored else _RETRY_SECONDS
        raise task.retry(exc=reason, countdown=countdown, max_retries=None) from trouble
    pictures.keep(context.store(), chunk, taken, features)
    return chunks.finish(chunk, features, seconds=seconds)


def too_slow(chunk: Chunk) -> BadSource:
    return BadSource(
        f"{chunk.source.uri}: frames {chunk.start} to {chunk.stop or 'the end'} took longer than a task may: "
        "raise SENTINEL_VISIBILITY_SECONDS, set fewer SENTINEL_CHUNK_FRAMES, or run fewer SENTINEL_EMBED_PROCESSES"
    )


def extract(chunk: Chunk, look: Look | None = None) -> FeatureBlock:
    """Return the features of `chunk`; `look` is shown its samples.

    Raises
    ------
    BaselineMismatch
        If this worker cannot reproduce the chunk's feature spec.
    BadSource
        If the source cannot be read, or no longer has the content that was accepted.
    """
    source = chunk.source
    extractor = context.extractor(chunk.feature_spec)
    try:
        extractor.require(chunk.feature_spec)
    except BaselineMismatch as error:  # it was sent before an upgrade, maybe before its baseline was built again
        raise BaselineMismatch(
            f"{source.uri}: frames {chunk.start} to {chunk.stop or 'the end'}: {error}, then retry them with "
            "`sentinel dead retry`"
        ) from error
    taken = CaptureTimes(source.taken_at, source.time_source, source.still_times)
    batch_id = data_batch(source.uri)
    if batch_id is not None:
        data = context.store().batches.data(chunk.stream, batch_id)
        if data is None:
            raise BadSource(f"{source.uri}: the image of this camera event is no longer kept: send it again")
        if digest_of(data) != source.digest:
            raise no_longer_accepted(source.uri)
        return extractor.extract_bytes(data, uri=source.uri, taken=taken, look=look)
    with accepted(source, get_settings().roots) as path:
        features = extractor.extract(
            path,
            source.kind,
            uri=source.uri,
            sample_fps=chunk.sample_fps,
            start=chunk.start,
            stop=chunk.stop,
            names=source.names,
            digests=(source.digest,) if source.kind is SourceKind.IMAGE else source.digests,
            taken=taken,
            look=look,
        )
        return scoring.with_live_scores(chunk, path, features)


def give_up(chunk: Chunk, error: Exception) -> Finished:
    """Write a dead letter about `chunk`; its batch continues without it."""
    log.warning("stream %s: gave up frames %d to %s: %s", chunk.stream, chunk.start, chunk.stop or "the end", error)
    letter = dead_letter(DeadLetterKind.CHUNK, chunk.stream, chunk.source.uri, error, chunk, version=chunk.id)
    return context.store().chunks.give_up(chunk, letter)
