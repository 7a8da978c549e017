"""The endpoint to which cameras post frames, and object storage what was written to it, as an ASGI application.

    POST /streams/NAME/frames   an image or a clip, with the token of the stream   ->   202 and the id of its batch
    POST /objects/events        a notification of object storage, with its token   ->   202 and how many it names

A request passes these in order, and takes no more than it has been given room for: its token; whether Redis takes work;
its head; a place among those that are under way; its body, which is written to the spool; the ingestor. A 202 says that
the batch is registered in Redis, or that process `objects` is going to look at what a notification names. Nothing of
what is refused is logged.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from queue import Queue

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from common.camera_tokens import OBJECT_EVENTS, CameraTokens
from common.contracts.batches import Submission
from common.contracts.ids import check_stream_name
from common.errors import (
    Backlogged,
    BadMessage,
    BadModality,
    BadSource,
    BrokerUnavailable,
    Refused,
    SentinelError,
    SettingsError,
    StillPreparing,
)
from common.ingest.accept import Ingestor, event_batch_id
from common.modalities.registry import suffixes
from common.settings import Settings
from common.store import Store
from common.store.client import unavailability
from producers.bodies import SPOOL_RETRY_SECONDS, Body, Drained, receive_body, too_large
from producers.object_events import MOST_EVENT_BYTES, Notification, note_notification
from producers.posts import Post, Problem, content_key, post_of, structured_event, structured_post
from producers.spool import Spool
from producers.spooled import accept_stored

_ACCEPTING = 2  # threads that accept, each with a sandbox of its own
_MOST_AT_A_TIME = 32  # requests whose bodies are received or accepted
_MOST_OF_A_STREAM = 8  # of these: no camera takes all places
_BASE64 = 4 / 3
_HEAD_BYTES = 64_000  # of a structured event beside its data
_CLOSED_SECONDS = 1.0  # how long nobody is let in after Redis took no work
_RETRY_SECONDS = 2
_NO_TOKEN = "send the token of this stream, or of notifications, as Authorization: Bearer TOKEN"
_MENDED_SECONDS = 60  # a baseline or a setting takes people a while


class Frames:
    """The application.

    Parameters
    ----------
    store : into which is accepted
    spool : where bodies go
    """

    def __init__(self, store: Store, settings: Settings, tokens: CameraTokens, spool: Spool) -> None:
        self._settings = settings
        self._store = store
        self._tokens = tokens
        self._spool = spool
        self._under_way: Counter[str] = Counter()
        self._closed_until = 0.0
        self._closed_by = (503, "")
        self._ingestors: Queue[Ingestor] = Queue()
        self._threads = ThreadPoolExecutor(_ACCEPTING, thread_name_prefix="accept")
        for _ in range(_ACCEPTING):
            ingestor = Ingestor(settings, store)
            self._ingestors.put(ingestor)
            # It imports what reads images, which takes seconds: not while a camera waits.
            self._threads.submit(ingestor.sandbox.call, suffixes, subject="no file")
        routes = [
            Route("/streams/{name:path}/frames", self._post, methods=["POST"]),
            Route("/objects/events", self._notify, methods=["POST"]),
            Route("/healthz", self._health),
        ]
        self.app: ASGIApp = Drained(Starlette(routes=routes, exception_handlers={Problem: _problem}))

    def close(self) -> None:
        """End what accepts."""
        self._threads.shutdown(cancel_futures=True)
        while not self._ingestors.empty():
            self._ingestors.get().close()

    async def _health(self, _: Request) -> Response:
        return JSONResponse({"ok": True})

    async def _post(self, request: Request) -> Response:
        stream = self._stream(request)
        if time.monotonic() < self._closed_until:
            raise Problem(*self._closed_by, _RETRY_SECONDS)
        post = post_of(stream, request.headers, request.query_params)
        most = self._settings.http_max_bytes
        if post.structured:
            most = int(self._settings.max_data_bytes * _BASE64) + _HEAD_BYTES
        async with self._received(request, stream, most) as body:
            loop = asyncio.get_running_loop()
            batch_id, became = await loop.run_in_executor(self._threads, self._accept, stream, post, body)
        return JSONResponse({"batch": batch_id, "stream": stream, "state": became.value}, 202)

    async def _notify(self, request: Request) -> Response:
        """Note what a notification of object storage names: this process has no credentials to look at it."""
        self._require_token(request, OBJECT_EVENTS)
        async with self._received(request, OBJECT_EVENTS, MOST_EVENT_BYTES) as body:
            found = await asyncio.to_thread(self._note, body.read())
        counts = {"noticed": len(found.uris), "ignored": found.ignored, "refused": found.refused}
        if found.refused:  # the others are noted, and sent again they still are
            return JSONResponse({**counts, "error": f"a record is refused: {found.reason}"}, 422)
        return JSONResponse(counts, 202)

    def _note(self, body: bytes) -> Notification:
        try:
            with unavailability():
                return note_notification(body, self._settings, self._store)
        except BadMessage as error:
            raise Problem(400, f"the body is no notification: {error}") from error
        except BrokerUnavailable as error:
            raise _of_error(error) from error

    @asynccontextmanager
    async def _received(self, request: Request, name: str, most: int) -> AsyncIterator[Body]:
        """Receive a body of at most `most` bytes, in a place of `name`; it and the place are there for the block."""
        declared = request.headers.get("content-length", "0")
        if not declared.isdecimal() or int(declared) > most:
            raise too_large(most)
        with self._place(name), self._spool.receiving() as room, Body(self._spool) as body:
            await receive_body(request, body, room, most)
            yield body

    def _stream(self, request: Request) -> str:
        """Return the stream that a request may post to."""
        try:
            stream = check_stream_name(request.path_params["name"])
        except ValueError:  # no stream is called that, so nobody has a token for it
            raise Problem(401, _NO_TOKEN) from None
        self._require_token(request, stream)
        return stream

    def _require_token(self, request: Request, name: str) -> None:
        """Refuse a request without a token of `name`, which is a stream's or `OBJECT_EVENTS`."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        try:
            if scheme.lower() != "bearer" or not self._tokens.admits(name, token.strip()):
                raise Problem(401, _NO_TOKEN)
        except SettingsError as error:
            raise Problem(503, "the tokens of cameras cannot be read: see the log of `http`", _RETRY_SECONDS) from error

    @contextmanager
    def _ingestor(self) -> Iterator[Ingestor]:
        """Lend an ingestor to one thread; there are as many as threads."""
        ingestor = self._ingestors.get()
        try:
            yield ingestor
        finally:
            self._ingestors.put(ingestor)

    @contextmanager
    def _place(self, stream: str) -> Iterator[None]:
        """Take a place among the requests that are under way."""
        if self._under_way.total() >= _MOST_AT_A_TIME or self._under_way[stream] >= _MOST_OF_A_STREAM:
            raise Problem(429, "others are being accepted: try again", _RETRY_SECONDS)
        self._under_way[stream] += 1
        try:
            yield
        finally:
            self._under_way[stream] -= 1
            if not self._under_way[stream]:
                del self._under_way[stream]

    def _accept(self, stream: str, post: Post, body: Body) -> tuple[str, Submission]:
        """Store and register what came; return the id of its batch and what became of it. Runs in a thread."""
        if not body.size:
            raise Problem(400, "the body is empty")
        content: bytes | Path = body.content
        if post.structured:
            post, content = structured_post(stream, structured_event(body.read()))
            body.digest.update(content)
        taken_at = time.time() if post.taken_at is None else post.taken_at
        key = post.key or content_key(body.digest.hexdigest(), taken_at)
        batch_id = event_batch_id(stream, key)
        path = self._spool.new_file(stream, batch_id, post.suffix)
        try:
            self._spool.store(path, content)
        except OSError as error:
            raise Problem(429, "there is no room on the disk: try again", SPOOL_RETRY_SECONDS) from error
        try:
            with self._ingestor() as ingestor:
                became = accept_stored(ingestor, self._spool, stream, path, event_key=key, taken_at=post.taken_at)
        except SentinelError as error:
            problem = _of_error(error, path)
            if isinstance(error, BrokerUnavailable):
                self._closed_by = (problem.status, problem.reason)
                self._closed_until = time.monotonic() + _CLOSED_SECONDS
            raise problem from error
        return batch_id, became


def _of_error(error: SentinelError, path: Path | None = None) -> Problem:
    """Return the answer to a post that could not be accepted; it does not name the file in the spool."""
    reason = str(error) if path is None else str(error).replace(str(path), "the body")
    if isinstance(error, Backlogged):
        return Problem(429, reason, _RETRY_SECONDS)
    if isinstance(error, BrokerUnavailable):
        return Problem(503, "Redis cannot take work now: try again", _RETRY_SECONDS)
    if isinstance(error, BadSource | BadModality):
        return Problem(415, reason)
    if isinstance(error, Refused):
        return Problem(422, reason)
    if isinstance(error, StillPreparing):
        return Problem(503, reason, _RETRY_SECONDS)
    # The reason names folders of this machine, and the stream keeps it for those who may know.
    return Problem(503, "this stream cannot be judged now: `sentinel status` says why", _MENDED_SECONDS)


async def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"error": error.reason}, error.status, headers)
