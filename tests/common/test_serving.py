"""A server says where it answers once it does, and waits for no request for ever."""

from __future__ import annotations

import asyncio
import http.client
import logging
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from common import serving
from common.serving import serve
from tests.hostile.clients import byte_by_byte, nonsense

PATIENCE_SECONDS = 60.0


@contextmanager
def served(app: Starlette, caplog: pytest.LogCaptureFixture) -> Iterator[int]:
    """Serve `app` on a free port, which the log tells, for the block."""
    caplog.set_level(logging.INFO, "common.serving")
    stop = threading.Event()
    thread = threading.Thread(
        target=serve, args=(app, "127.0.0.1", 0, stop, lambda: None), kwargs={"said": "it answers on"}
    )
    thread.start()
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not caplog.records:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        (row,) = caplog.records
        port = re.fullmatch(r"it answers on http://127\.0\.0\.1:(\d+)", row.message)
        assert port is not None
        yield int(port[1])
    finally:
        stop.set()
        thread.join(PATIENCE_SECONDS)


def status_of(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    connection.request("GET", "/")
    status = connection.getresponse().status
    connection.close()
    return status


def test_a_free_port_is_logged_by_its_number(caplog: pytest.LogCaptureFixture) -> None:
    with served(Starlette(), caplog) as port:
        assert status_of(port) == 404


@pytest.mark.parametrize(
    "before",
    [b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"],
    ids=["at the first request", "at the second"],
)
def test_a_head_that_comes_byte_by_byte_is_cut_off_and_an_answer_that_takes_long_is_not(
    before: bytes, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "_HEAD_SECONDS", 1.0)
    cut = threading.Event()

    async def slow(_: Request) -> Response:
        while not cut.is_set():
            await asyncio.sleep(0.05)
        await asyncio.sleep(2.0)
        return Response(status_code=204)

    with served(Starlette(routes=[Route("/slow", slow)]), caplog) as port, ThreadPoolExecutor(1) as other:
        waiting = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
        waiting.request("GET", "/slow")
        answer = other.submit(waiting.getresponse)
        assert byte_by_byte(port, b"GET / HTTP/1.1\r\nX: y", pause=0.05, before=before).cut
        cut.set()
        assert answer.result().status == 204
        waiting.close()


def test_nonsense_is_said_once_however_much_of_it_comes(caplog: pytest.LogCaptureFixture) -> None:
    rng = random.Random(1)
    with served(Starlette(), caplog) as port:
        for _ in range(200):
            nonsense(port, rng)
        assert status_of(port) == 404
    said = Counter(row.getMessage() for row in caplog.records if row.name.startswith("uvicorn"))
    assert "Invalid HTTP request received." in said
    assert max(said.values()) == 1
