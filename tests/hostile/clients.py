"""Clients that mean harm to an HTTP server: bodies without end, a byte per second, nonsense."""

from __future__ import annotations

import random
import socket
import time
from contextlib import suppress
from dataclasses import dataclass

_PIECE = b"10000\r\n" + bytes(65536) + b"\r\n"
_TIMEOUT_SECONDS = 120.0


@dataclass(frozen=True)
class Sent:
    """What became of a request.

    Attributes
    ----------
    size : bytes of its body that were sent before the connection was cut, or the answer was read
    status : of the answer; 0: none could be read
    seconds : from the first byte until the end of the connection
    """

    size: int
    status: int
    seconds: float

    @property
    def cut(self) -> bool:
        """Whether the connection was cut without an answer."""
        return self.status == 0


def chunked_head(stream: str, token: str, content_type: str = "video/mp4") -> bytes:
    return (
        f"POST /streams/{stream}/frames HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n"
    ).encode()


def without_end(port: int, head: bytes, most: int, *, heeds: bool) -> Sent:
    """Send a chunked body of up to `most` bytes.

    Parameters
    ----------
    heeds : whether it stops once an answer has come; else it goes on until the connection is cut
    """
    began, sent, status = time.monotonic(), 0, 0
    with socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_SECONDS) as peer:
        with suppress(OSError):
            peer.sendall(head)
            while sent < most:
                if heeds and _has_answer(peer):
                    break
                peer.sendall(_PIECE)
                sent += len(_PIECE)
        status = _status(peer)
    return Sent(sent, status, time.monotonic() - began)


def byte_by_byte(port: int, data: bytes, *, pause: float = 1.0, before: bytes = b"", at_once: bytes = b"") -> Sent:
    """Send `data`, of which the last byte is repeated, a byte at a time until an answer comes or the connection is cut.

    Parameters
    ----------
    before : a request that is sent at once, and whose answer is read, before it
    at_once : sent before it, without waiting
    """
    began, sent = time.monotonic(), 0
    with socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_SECONDS) as peer:
        if before:
            peer.sendall(before)
            peer.recv(65536)
        peer.sendall(at_once)
        with suppress(OSError):
            while not _has_answer(peer):
                peer.sendall(data[sent : sent + 1] or data[-1:])
                sent += 1
                time.sleep(pause)
        status = _status(peer)
    return Sent(sent, status, time.monotonic() - began)


def nonsense(port: int, rng: random.Random) -> int:
    """Send random bytes, or what almost is a request; return the status of the answer, 0: none."""
    forms = (
        rng.randbytes(rng.randrange(1, 4000)),
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"POST /streams/a/frames HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\nxyz\r\n",
        b"GET /" + rng.randbytes(40).hex().encode() + b" HTTP/1.1\r\n" + b"X: " + b"y" * 100_000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rng.randbytes(300),
    )
    with socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_SECONDS) as peer:
        with suppress(OSError):
            peer.sendall(rng.choice(forms))
            peer.shutdown(socket.SHUT_WR)
        return _status(peer)


def _has_answer(peer: socket.socket) -> bool:
    """Return whether something has come, or the connection has ended."""
    peer.setblocking(False)
    try:
        peer.recv(1, socket.MSG_PEEK)
        return True
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        peer.settimeout(_TIMEOUT_SECONDS)


def _status(peer: socket.socket) -> int:
    """Return the status of an answer; 0 if none can be read."""
    head = b""
    with suppress(OSError):
        while len(head) < 12 and (more := peer.recv(12 - len(head))):
            head += more
    words = head.split(b" ")
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
