"""Bodies of requests: received with bounds on their size, their time and the memory that they take."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import suppress
from pathlib import Path

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from producers.posts import Problem
from producers.spool import Reservation, Spool, SpoolFull

SPOOL_RETRY_SECONDS = 10
"""After so many seconds there may be room on the disk again."""
_BODY_SECONDS = 60.0  # that a body may take
_MEMORY_BYTES = 1_000_000  # of a body; more is written to the spool while it comes
_DRAINED_BYTES = 1_000_000  # of a body that is refused, so that its sender gets to read why
_DRAIN_SECONDS = 2.0


class Body:
    """The body of one request: in memory, or if it is large in a file, which is gone when the block ends."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._memory = bytearray()
        self._part: Path | None = None
        self.size = 0
        self.digest = hashlib.blake2b(digest_size=16)

    def __enter__(self) -> Body:
        return self

    def __exit__(self, *_: object) -> None:
        if self._part is not None:
            with suppress(OSError):
                self._part.unlink()

    @property
    def content(self) -> bytes | Path:
        return bytes(self._memory) if self._part is None else self._part

    def read(self) -> bytes:
        return bytes(self._memory) if self._part is None else self._part.read_bytes()

    async def add(self, piece: bytes) -> None:
        self.size += len(piece)
        self.digest.update(piece)
        self._memory += piece
        if len(self._memory) > _MEMORY_BYTES:
            await asyncio.to_thread(self.flush)

    async def end(self) -> None:
        if self._part is not None:
            await asyncio.to_thread(self.flush)

    def flush(self) -> None:
        self._part = self._part or self._spool.unfinished_file()
        with self._part.open("ab") as file:
            file.write(self._memory)
        self._memory.clear()


class Drained:
    """Lets a sender that is refused finish a short body, so that it reads why; of a long one nothing more is read."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        whole = False

        async def receives() -> Message:
            nonlocal whole
            message = await receive()
            whole = whole or not message.get("more_body", False)
            return message

        async def sends(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Cache-Control"] = "no-store"
                # Who asks before it sends a body has not sent it yet.
                if not any(name == b"expect" for name, _ in scope["headers"]):
                    await drain()
                if not whole:
                    headers["Connection"] = "close"
            await send(message)

        async def drain() -> None:
            left = _DRAINED_BYTES
            with suppress(TimeoutError):
                async with asyncio.timeout(_DRAIN_SECONDS):
                    while not whole and left > 0:
                        left -= len((await receives()).get("body", b""))

        await self._app(scope, receives, sends)


async def receive_body(request: Request, body: Body, room: Reservation, most: int) -> None:
    """Read the body of a request; raise `Problem` if it is too long, too slow, or has no room."""
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for piece in request.stream():
                if body.size + len(piece) > most:
                    raise too_large(most)
                room.take(len(piece))
                await body.add(piece)
            await body.end()
    except TimeoutError as error:
        raise Problem(408, f"the body took longer than {_BODY_SECONDS:.0f} s") from error
    except ClientDisconnect as error:
        raise Problem(400, "the body broke off") from error
    except SpoolFull as error:
        raise Problem(429, "the spool is full: try again", SPOOL_RETRY_SECONDS) from error
    except OSError as error:
        raise Problem(429, "there is no room on the disk: try again", SPOOL_RETRY_SECONDS) from error


def too_large(most: int) -> Problem:
    return Problem(
        413,
        f"a body has at most {most} bytes here: of frames as SENTINEL_HTTP_MAX_BYTES says, or in an event "
        "SENTINEL_MAX_DATA_BYTES",
    )
