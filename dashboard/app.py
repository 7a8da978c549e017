"""The page and its API as one ASGI application."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import redis
from fastapi import FastAPI, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from kombu.exceptions import OperationalError
from pydantic import Field

from common.actions.incidents import incident_of_id
from common.contracts.dead_letters import DeadLetter
from common.contracts.ids import Message, StreamName
from common.contracts.incidents import Incident
from common.errors import (
    BadMessage,
    BrokerUnavailable,
    NotAccepted,
    NotPromoted,
    PathNotAllowed,
    SentinelError,
    UnknownStream,
)
from common.queries import IncidentChoice, incidents, matches
from common.settings import Settings
from common.store import Store
from common.store.event_tail import EventTail
from common.web_access import known_hosts
from dashboard.access import ACTION_HEADER, COOKIE, Access, Guard
from dashboard.acting import acceptance, action_routes
from dashboard.history import History, Point
from dashboard.live import Readers, entry_id, follow
from dashboard.reading import MOST_LETTERS, Reading
from dashboard.views import Acceptance, Fleet, IncidentView, ModelView, StackView, StreamView, Tile

STATIC = Path(__file__).parent / "static"
_WRONG_LOGIN_SECONDS = 0.5  # so that nobody tries many tokens
_MOST_LISTED = 1_000  # incidents in one answer
_STATUS: dict[type[SentinelError], int] = {
    UnknownStream: 404,
    BrokerUnavailable: 503,
    NotAccepted: 409,
    NotPromoted: 409,
    PathNotAllowed: 403,
    BadMessage: 400,
}
_KEEP_PICTURE = "private, max-age=86400, immutable"  # of an id is the same for ever
StreamQuery = Annotated[StreamName, Query(description="name of the stream")]
PatternQuery = Annotated[str, Query(max_length=300, description="name or pattern like `site/*`; empty: all")]


class Login(Message):
    token: str = Field(max_length=1_000)


class Health(Message):
    ok: bool
    reason: str = Field("", description="why not; empty: it is")


class Position(Message):
    at: str = Field(description="id of the latest entry of `sentinel:events`")


class Who(Message):
    """What the page must know before it asks for anything."""

    locked: bool = Field(description="whether a token is needed")


def make_app(store: Store, settings: Settings, history: History) -> FastAPI:
    """Return the application.

    Parameters
    ----------
    settings : with the URL of the Redis of `store`
    history : is followed by somebody else
    """
    app = FastAPI(
        title="Sentinel",
        description=f"What the page shows and does. Actions are POST requests with the header `{ACTION_HEADER}: 1`; "
        "where a token is set, send it as `Authorization: Bearer TOKEN`.",
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
    )
    access = Access(settings.page_token)
    reading = Reading(store, settings, history)
    _add_errors(app)
    _add_health(app, settings.redis_url or "")
    _add_login(app, access)
    _add_reading(app, reading, store, settings)
    _add_live(app, settings)
    app.include_router(action_routes(store, settings))
    app.mount("/", StaticFiles(directory=STATIC, html=True))
    app.add_middleware(Guard, access=access, hosts=known_hosts(settings.page_host, settings.page_hosts))
    return app


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(SentinelError)
    async def refused(_: Request, error: Exception) -> Response:
        status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 409)
        return JSONResponse({"error": str(error)}, status)

    @app.exception_handler(redis.RedisError)
    @app.exception_handler(OperationalError)
    async def unavailable(_: Request, error: Exception) -> Response:
        return JSONResponse({"error": f"Redis cannot answer now ({type(error).__name__}): try again"}, 503)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: Exception) -> Response:
        rows = error.errors() if isinstance(error, RequestValidationError) else []
        said = "; ".join(f"{'.'.join(str(step) for step in row['loc'][1:])}: {row['msg']}" for row in rows)
        return JSONResponse({"error": said or "the request is not valid"}, 422)


def _add_health(app: FastAPI, url: str) -> None:
    @app.get("/healthz", tags=["health"])
    async def alive() -> Health:
        """Whether this process answers."""
        return Health(ok=True)

    @app.get("/readyz", tags=["health"], responses={503: {"model": Health}})
    async def ready(response: Response) -> Health:
        """Whether this process and its Redis answer."""
        tail = EventTail(url)
        try:
            await tail.ping()
        except (redis.RedisError, OSError) as error:
            response.status_code = 503
            return Health(ok=False, reason=f"Redis does not answer: {type(error).__name__}")
        finally:
            await tail.close()
        return Health(ok=True)


def _add_login(app: FastAPI, access: Access) -> None:
    @app.post("/api/login", tags=["access"], responses={401: {"description": "wrong token"}})
    async def log_in(login: Login, request: Request, response: Response) -> Who:
        """Exchange the token for a cookie, for browsers."""
        if not access.knows(login.token):
            await asyncio.sleep(_WRONG_LOGIN_SECONDS)
            response.status_code = 401
        elif not access.is_open:
            # A client may say so of itself: it then has a cookie that it does not send back over plain HTTP.
            by_proxy = request.headers.get("x-forwarded-proto", "").partition(",")[0].strip().lower()
            secure = "https" in {request.url.scheme, by_proxy}
            response.set_cookie(COOKIE, access.session, httponly=True, samesite="strict", secure=secure, path="/")
        return Who(locked=not access.is_open)

    @app.post("/api/logout", tags=["access"])
    async def log_out(response: Response) -> Who:
        """Forget the cookie."""
        response.delete_cookie(COOKIE, httponly=True, samesite="strict", path="/")
        return Who(locked=not access.is_open)


def _add_reading(app: FastAPI, reading: Reading, store: Store, settings: Settings) -> None:
    @app.get("/api/streams", tags=["streams"])
    def fleet() -> Fleet:
        """All streams, those that fail first."""
        return reading.fleet()

    @app.get("/api/position", tags=["live"])
    def position() -> Position:
        """Where the events are now: ask for it first, then for what is shown, then listen after it."""
        return Position(at=store.event_log.last_id())

    @app.get("/api/tile", tags=["streams"])
    def tile(stream: StreamQuery) -> Tile:
        """One stream as the fleet shows it."""
        return reading.tile(stream)

    @app.get("/api/stream", tags=["streams"])
    def stream_whole(stream: StreamQuery) -> StreamView:
        """One stream: its state, cause, incidents, pictures, verdicts over time, and what it has learned."""
        return reading.stream(stream)

    @app.get("/api/verdicts", tags=["streams"])
    def verdicts(stream: StreamQuery) -> tuple[Point, ...]:
        """The latest verdicts of a stream, oldest first."""
        return reading.points(stream)

    @app.get("/api/acceptance", tags=["streams"])
    def what_acceptance_does(stream: StreamQuery, incident: Annotated[str, Query(max_length=200)] = "") -> Acceptance:
        """What would become golden if a person accepted the present as the new normal."""
        return acceptance(store, settings, stream, incident)

    @app.get("/api/picture", tags=["streams"], response_class=Response)
    def picture(stream: StreamQuery, picture: Annotated[str, Query(alias="id", max_length=300)]) -> Response:
        """A picture, as JPEG."""
        jpeg = store.pictures.jpeg(stream, picture)
        if jpeg is None:
            return JSONResponse({"error": "this picture is no longer kept"}, 404)
        return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": _KEEP_PICTURE})

    @app.get("/api/incidents", tags=["incidents"])
    def all_incidents(stream: PatternQuery = "", state: IncidentChoice | None = None) -> list[Incident]:
        """Incidents: failing, offline, healed, closed ones, and of each the latest first; 1000 at most."""
        return incidents(store, stream=stream, state=state)[:_MOST_LISTED]

    @app.get("/api/incident", tags=["incidents"])
    def incident(incident: Annotated[str, Query(alias="id", max_length=200)]) -> IncidentView:
        """One incident as a story; its id may be cut short."""
        return reading.incident(incident_of_id(store, incident))

    @app.get("/api/models", tags=["models"])
    def models() -> list[ModelView]:
        """Every model: its versions, and the gate's decisions about it."""
        return reading.models()

    @app.get("/api/decision-picture", tags=["models"], response_class=Response)
    def decision_picture(model: Annotated[str, Query(max_length=200)], number: Annotated[int, Query(ge=1)]) -> Response:
        """The worst, median and best examples of a decision, as PNG."""
        file = reading.decision_picture(model, number)
        if file is None:
            return JSONResponse({"error": "there is no picture of this decision"}, 404)
        return FileResponse(file, media_type="image/png", headers={"Cache-Control": _KEEP_PICTURE})

    @app.get("/api/stack", tags=["stack"])
    def stack() -> StackView:
        """Processes, queues, batches under way, and dead letters summed up."""
        return reading.stack()

    @app.get("/api/dead-letters", tags=["stack"])
    def letters(stream: PatternQuery = "") -> list[DeadLetter]:
        """Those of the latest 1000 dead letters that are about the streams, the latest first."""
        return [row for row in store.event_log.latest_dead_letters(MOST_LETTERS) if matches(row.stream, stream)]


def _add_live(app: FastAPI, settings: Settings) -> None:
    readers = Readers()

    @app.get("/api/live", tags=["live"], response_class=StreamingResponse)
    async def live(
        after: Annotated[str, Query(max_length=40, description="id of the last entry that is known")] = "",
        last_event_id: Annotated[str, Header(max_length=40)] = "",
    ) -> Response:
        """What happens, as server-sent events: `event` (see `LiveEvent`), `beat`, `trouble` and `reset`."""
        if not readers.has_room:
            return JSONResponse({"error": "too many browsers listen: close some"}, 503)
        events = follow(settings.redis_url or "", entry_id(last_event_id) or entry_id(after), readers)
        return StreamingResponse(events, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
