"""Asking a camera over HTTP: no redirect is followed, no proxy is used, and the head of the answer comes in time.

Python waits anew for each piece of an answer, and reads interim answers (100 Continue) for as long as they come. So a
timer ends the connection of a camera that sends its head a byte at a time, or one interim answer after the other.
"""

from __future__ import annotations

import http.client
import socket
import threading
import urllib.request
from contextlib import suppress
from functools import partial

from common.sources.cameras import CameraAddress


class _Answer(http.client.HTTPResponse):
    """An answer whose head takes at most `head_seconds`; errors as of a connection that ends."""

    def __init__(self, sock: socket.socket, *arguments: object, head_seconds: float, **options: object) -> None:
        super().__init__(sock, *arguments, **options)  # type: ignore[arg-type]
        self._socket = sock
        self._head_seconds = head_seconds

    def begin(self) -> None:
        cut = threading.Timer(self._head_seconds, _cut, [self._socket])
        cut.daemon = True
        cut.start()
        try:
            super().begin()
        finally:
            cut.cancel()


class _Plain(urllib.request.HTTPHandler):
    def __init__(self, head_seconds: float) -> None:
        super().__init__()
        self._answer = partial(_Answer, head_seconds=head_seconds)

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_answering(http.client.HTTPConnection, self._answer), req)


class _Secure(urllib.request.HTTPSHandler):
    def __init__(self, head_seconds: float) -> None:
        super().__init__()
        self._answer = partial(_Answer, head_seconds=head_seconds)

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_answering(http.client.HTTPSConnection, self._answer), req)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        """Follow none: an answer that redirects is an error then."""


def ask(address: CameraAddress, seconds: float, head_seconds: float) -> http.client.HTTPResponse:
    """Return the camera's answer, with its head read; errors are those of `urllib` and `http.client`.

    Parameters
    ----------
    seconds : that it may send nothing
    head_seconds : that its head may take in all
    """
    passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    if address.user is not None:
        passwords.add_password(None, address.url, address.user, address.password or "")
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}),
        _Plain(head_seconds),
        _Secure(head_seconds),
        _NoRedirect,
        urllib.request.HTTPDigestAuthHandler(passwords),
        urllib.request.HTTPBasicAuthHandler(passwords),
    )
    answer = opener.open(address.url, timeout=seconds)
    assert isinstance(answer, http.client.HTTPResponse)  # the schemes are checked: http and https
    return answer


def _answering(kind: type[http.client.HTTPConnection], answer: partial[_Answer]) -> partial[http.client.HTTPConnection]:
    """Return what makes connections of a kind that answer with `answer`."""
    made = type(kind.__name__, (kind,), {"response_class": staticmethod(answer)})
    return partial(made)


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
