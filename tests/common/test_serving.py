"""A server says where it answers once it does."""

from __future__ import annotations

import http.client
import logging
import re
import threading
import time

import pytest
from starlette.applications import Starlette

from common.serving import serve

PATIENCE_SECONDS = 60.0


def test_a_free_port_is_logged_by_its_number(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "common.serving")
    stop = threading.Event()
    thread = threading.Thread(
        target=serve, args=(Starlette(), "127.0.0.1", 0, stop, lambda: None), kwargs={"said": "it answers on"}
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
        connection = http.client.HTTPConnection("127.0.0.1", int(port[1]), timeout=PATIENCE_SECONDS)
        connection.request("GET", "/")
        assert connection.getresponse().status == 404
        connection.close()
    finally:
        stop.set()
        thread.join(PATIENCE_SECONDS)
