"""Who may ask what: names, token, origin, size, and the headers of every answer.

A request passes these in order: the Host header names this page (else a foreign page
could read it through a browser, see `common.web_access`); what acts comes with a header
that no foreign page can send unasked, and from this page's origin; and where a token is
set, everything under `/api` comes with it, or with the cookie of a login.
"""

from __future__ import annotations

import hashlib
import hmac
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common.web_access import MISDIRECTED, host_name

COOKIE = "sentinel_session"
ACTION_HEADER = "X-Sentinel-Action"
"""Every POST has it. A browser sends it to another origin only where that agreed before, and this one never does."""
_OPEN = frozenset({"/healthz", "/readyz"})
"""Answer anybody under any name, and say nothing but whether."""
_MOST_BODY_BYTES = 64_000
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class Access:
    """What a token opens.

    Parameters
    ----------
    token : None: nothing is closed
    """

    def __init__(self, token: str | None) -> None:
        self._token = token.encode() if token else None

    @property
    def is_open(self) -> bool:
        return self._token is None

    @property
    def session(self) -> str:
        """The cookie of a login. It is not the token, and ends with it."""
        return hmac.new(self._token or b"", b"session of the page", hashlib.sha256).hexdigest()

    def knows(self, token: str) -> bool:
        """Return whether `token` is the one, in a time that does not tell how much of it is right."""
        return self._is(token.encode(errors="replace"))

    def _is(self, token: bytes) -> bool:
        return self._token is None or hmac.compare_digest(token, self._token)

    def admits(self, headers: Headers) -> bool:
        """Return whether a request comes with the token or the cookie of a login."""
        if self._token is None:
            return True
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._is(given.strip().encode("latin-1")):  # as headers are decoded
            return True
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return found is not None and hmac.compare_digest(found.value.encode(errors="replace"), self.session.encode())


class Guard:
    """Refuses what may not pass, before the application sees it.

    Parameters
    ----------
    hosts : names under which the page answers
    """

    def __init__(self, app: ASGIApp, *, access: Access, hosts: frozenset[str]) -> None:
        self._app = app
        self._access = access
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        headers, sends = Headers(scope=scope), _with_headers(send)
        refusal = self._refusal(scope["method"], scope["path"], headers)
        if refusal is not None:
            status, reason = refusal
            await JSONResponse({"error": reason}, status)(scope, receive, sends)
            return
        await self._app(scope, receive, sends)

    def _refusal(self, method: str, path: str, headers: Headers) -> tuple[int, str] | None:
        """Return with what status and why a request is refused; None if it may pass."""
        if path in _OPEN and method in {"GET", "HEAD"}:
            return None
        if host_name(headers.get("host", "")) not in self._hosts:
            return MISDIRECTED, "the page does not answer under this name: SENTINEL_PAGE_HOSTS has those that it knows"
        if method not in {"GET", "HEAD"} and (refusal := _refused_action(headers)) is not None:
            return refusal
        if path.startswith("/api/") and path != "/api/login" and not self._access.admits(headers):
            return 401, "log in with the token, or send it as Authorization: Bearer TOKEN"
        return None


def _refused_action(headers: Headers) -> tuple[int, str] | None:
    """Return why a request that would change something is refused; None if it comes from this page or a program."""
    if ACTION_HEADER not in headers:
        return 403, f"actions need the header {ACTION_HEADER}: 1"
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc.lower() != headers.get("host", "").lower():
        return 403, "this action comes from another page"
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return 415, "send JSON, as application/json"
    length = headers.get("content-length", "")
    if not length.isdecimal() or int(length) > _MOST_BODY_BYTES:
        return 413, f"an action has a body of known length, of {_MOST_BODY_BYTES} bytes at most"
    return None


def _with_headers(send: Send) -> Send:
    async def sends(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return sends
