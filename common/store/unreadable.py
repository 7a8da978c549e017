"""Stored state of streams that cannot be read: it is given up with a dead letter, so that streams continue."""

from __future__ import annotations

from common.contracts.batches import Chunk, FeatureSpec, Source, SourceKind
from common.contracts.dead_letters import DeadLetter, DeadLetterKind
from common.contracts.ids import content_id
from common.contracts.verdicts import Verdict
from common.errors import BadMessage

_UNKNOWN = "unknown"
_MOST_CHARACTERS = 100_000  # of what was stored, kept in the dead letter


def stand_in(stream: str, chunk_id: str) -> Chunk:
    """Return a placeholder without frames for an unreadable chunk in its stream's order."""
    batch_id, _, start = chunk_id.rpartition("-")
    return Chunk(
        id=chunk_id,
        batch_id=batch_id,
        stream=stream,
        source=Source(uri=_UNKNOWN, kind=SourceKind.RECORDING, size=0, digest=""),
        start=int(start) if start.isdecimal() else 0,
        stop=None,
        feature_spec=FeatureSpec(
            backbone=_UNKNOWN,
            weights=_UNKNOWN,
            precision=_UNKNOWN,
            decode_pipeline=_UNKNOWN,
            sensors=_UNKNOWN,
            sample_fps=None,
        ),
        batch_frames=1,
        opens_batch=False,
        closes_batch=False,
    )


def unreadable_chunk(stream: str, chunk_id: str, error: BadMessage, stored: bytes | str, now: float) -> DeadLetter:
    """Return the dead letter about an unreadable chunk; `stored` is what Redis holds for it."""
    original = stored if isinstance(stored, str) else stored.decode(errors="replace")
    return DeadLetter(
        id=content_id(DeadLetterKind.CHUNK, stream, chunk_id, str(error)),
        kind=DeadLetterKind.CHUNK,
        stream=stream,
        subject=f"chunk {chunk_id}",
        reason=str(error),
        original=original[:_MOST_CHARACTERS],
        time=now,
    )


def unreadable_truth(stream: str, what: str, error: BadMessage, stored: bytes, now: float) -> DeadLetter:
    """Return the dead letter about a row of truth, or about what rows have come to, that cannot be read."""
    return _given_up(stream, what, str(error), stored.decode(errors="replace"), now)


def readable_verdict(stored: bytes | None) -> Verdict | None:
    """Return a stored verdict; None if there is none or a newer version wrote it: the next verdict replaces it."""
    try:
        return Verdict.from_json(stored) if stored else None
    except BadMessage:
        return None


def unreadable_window(stream: str, error: BadMessage, now: float) -> DeadLetter:
    """Return the dead letter about an unreadable window; the stream continues with an empty one."""
    reason = f"the window of stream {stream!r} starts anew, the frames in it are not judged with the next ones: {error}"
    return _given_up(stream, f"window of {stream}", reason, "{}", now)


def unreadable_incidents(stream: str, error: BadMessage, stored: bytes, now: float) -> DeadLetter:
    """Return the dead letter about unreadable incidents; the stream continues without any."""
    reason = f"stream {stream!r} goes on without the incidents that were open and those it could reopen: {error}"
    return _given_up(stream, f"incidents of {stream}", reason, stored.decode(errors="replace"), now)


def unreadable_note(stream: str, error: BadMessage, stored: bytes, now: float) -> DeadLetter:
    """Return the dead letter about an unreadable note, which no incident of the stream takes."""
    text = stored.decode(errors="replace")
    return _given_up(stream, f"note about {stream}", f"a note about an incident is dropped: {error}", text, now)


def _given_up(stream: str, subject: str, reason: str, original: str, now: float) -> DeadLetter:
    return DeadLetter(
        id=content_id(DeadLetterKind.STATE, stream, reason),
        kind=DeadLetterKind.STATE,
        stream=stream,
        subject=subject,
        reason=reason,
        original=original[:_MOST_CHARACTERS],
        time=now,
    )
