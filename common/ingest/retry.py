"""Retrying dead letters: the work is submitted again in the way in which it first came."""

from __future__ import annotations

from common import broker
from common.contracts.batches import Chunk, SourceRequest, Submission
from common.contracts.dead_letters import DeadLetter, DeadLetterKind, RawTask
from common.errors import BadMessage
from common.ingest.accept import Ingestor
from common.store import Store
from common.store.ingest import RawEntry


def retry(letter: DeadLetter, store: Store, ingestor: Ingestor) -> str:
    """Submit the original of `letter` again, and drop the dead letter unless the work is refused again.

    Returns
    -------
    str
        The outcome, as text for a person.

    Raises
    ------
    SentinelError
        If it cannot be retried; the dead letter stays.
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
    # Dropped last, so that a crash loses nothing. Work that is refused again has the same dead letter.
    if became != Submission.REJECTED.value:
        store.event_log.drop(letter)
    return became


def _submit(request: SourceRequest, ingestor: Ingestor) -> Submission:
    became = ingestor.submit(request.stream, request.uri)
    return ingestor.accept_one_by_one(request.stream, request.uri) if became is Submission.CHANGED else became


def _send_task(letter: DeadLetter, store: Store) -> str:
    task = RawTask.from_json(letter.original)
    # Dropped first: if the task fails again at once, its new dead letter has the same id and must stay.
    store.event_log.drop(letter)
    try:
        return broker.resend(task.name, task.queue, task.args, task.kwargs)
    except Exception:
        store.event_log.bury(letter)
        raise
