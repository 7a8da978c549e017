"""Trying given-up work again: by the door through which it came."""

from __future__ import annotations

from pathlib import Path

from common import broker
from common.contracts.batches import Chunk, SourceRequest, Submission
from common.contracts.dead_letters import DeadLetter, DeadLetterKind, RawTask
from common.errors import BadMessage
from common.ingest.accept import Ingestor
from common.store import Store
from common.store.ingest import RawEntry


def retry(letter: DeadLetter, store: Store, ingestor: Ingestor) -> str:
    """Hand in the original of `letter` again and drop the letter, unless the work is refused again.

    Returns
    -------
    str
        What became of it, for a person to read.

    Raises
    ------
    SentinelError
        If it cannot be tried again; the letter stays.
    """
    if letter.kind is DeadLetterKind.TASK:
        return _send_task(letter, store)
    if letter.kind is DeadLetterKind.STATE:
        raise BadMessage("there is nothing to retry, its stream has gone on: drop this dead letter")
    if letter.kind is DeadLetterKind.EVENT:
        became = RawEntry.from_json(letter.original).send(store.client)
    elif letter.kind is DeadLetterKind.CHUNK:
        became = ingestor.retry_chunk(Chunk.from_json(letter.original), letter.entry_id).value
    else:
        became = _submit(SourceRequest.from_json(letter.original), ingestor).value
    # Dropped last, so that nothing is lost in between. What was refused again has the same id: it is the same letter.
    if became != Submission.REJECTED.value:
        store.event_log.drop(letter)
    return became


def _submit(request: SourceRequest, ingestor: Ingestor) -> Submission:
    became = ingestor.submit(request.stream, Path(request.uri))
    return ingestor.accept_one_by_one(request.stream, request.uri) if became is Submission.CHANGED else became


def _send_task(letter: DeadLetter, store: Store) -> str:
    task = RawTask.from_json(letter.original)
    # Dropped first: should the task fail again at once, the new letter must not be the one that is dropped.
    store.event_log.drop(letter)
    try:
        return broker.resend(task.name, task.queue, task.args, task.kwargs)
    except Exception:
        store.event_log.bury(letter)
        raise
