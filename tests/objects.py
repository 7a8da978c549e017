"""A real S3 server (moto's), on loopback unless it is told otherwise, which counts what it is asked for."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import quote

import boto3
import pytest
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from common.settings import Settings
from common.sources.objects import storage

ACCESS_KEY, SECRET_KEY = "AKIAOBSERVABLE", "observable-secret-of-the-test"
BUCKET = "site"


@dataclass(frozen=True)
class Request:
    """One request that the server got, from whom, and how many bytes it answered with."""

    method: str
    path: str
    range: str
    sent: int
    client: str


_UNKNOWN_KEY = b"<Error><Code>InvalidAccessKeyId</Code><Message>no such key</Message></Error>"


@pytest.fixture(scope="session")
def object_server() -> Iterator[ObjectServer]:
    server = ObjectServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def objects(object_server: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectServer]:
    """The server with an empty bucket, and its credentials in the environment."""
    use_credentials(monkeypatch, ACCESS_KEY, SECRET_KEY)
    object_server.answers = math.inf
    for row in object_server.client.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        object_server.delete(row["Key"])
    object_server.requests.clear()
    yield object_server
    storage._opened.cache_clear()


def use_credentials(monkeypatch: pytest.MonkeyPatch, access_key: str, secret_key: str) -> None:
    """Put credentials into the environment, and let them be read again; empty ones: there are none."""
    for name, value in (("AWS_ACCESS_KEY_ID", access_key), ("AWS_SECRET_ACCESS_KEY", secret_key)):
        monkeypatch.setenv(name, value)
        if not value:
            monkeypatch.delenv(name)
    for name, value in NO_OTHER_CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    storage._opened.cache_clear()


NO_OTHER_CREDENTIALS = {
    "AWS_CONFIG_FILE": "/nonexistent",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def watching(server: ObjectServer, prefix: str) -> dict[str, str]:
    """Return the environment of processes that watch a prefix of the server's bucket."""
    return {
        **NO_OTHER_CREDENTIALS,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "SENTINEL_OBJECT_ENDPOINT": server.url,
        "SENTINEL_OBJECT_REGION": "us-east-1",
        "SENTINEL_WATCH_OBJECTS": f"s3://{BUCKET}/{prefix}",
        "SENTINEL_OBJECTS_SECONDS": "1",
    }


def reaching(server: ObjectServer, settings: Settings, **changes: object) -> Settings:
    """Return settings with the server's storage, in which sources may lie below `cameras`."""
    own = {"object_endpoint": server.url, "object_region": "us-east-1", "object_roots": (f"s3://{BUCKET}/cameras",)}
    return settings.model_copy(update={**own, **changes})


def away(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return settings with a storage that does not answer, in which sources may lie anywhere in the bucket."""
    use_credentials(monkeypatch, ACCESS_KEY, SECRET_KEY)
    return reaching(ObjectServer("http://127.0.0.1:1"), settings, object_roots=(f"s3://{BUCKET}",))


@dataclass
class ObjectServer:
    """The server. `requests` are those since it was cleared last, without the test's own; after
    `answers` more it is out of order."""

    url: str = ""
    requests: list[Request] = field(default_factory=list)
    answers: float = math.inf
    _server: Any = None
    _thread: Any = None

    def start(self, host: str = "127.0.0.1") -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it logs every request
        moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server(host, 0, self._counting(moto), threaded=True)
        self.url = f"http://{host}:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.client.create_bucket(Bucket=BUCKET)

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @cached_property
    def client(self) -> Any:
        return self.client_of("s3")

    def client_of(self, service: str) -> Any:
        """Return a client of one of the services that the server plays."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
        )

    def put(self, key: str, data: bytes) -> str:
        """Write an object; return its URI."""
        self.client.put_object(Bucket=BUCKET, Key=key, Body=data)
        self.requests.clear()
        return f"s3://{BUCKET}/{key}"

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=BUCKET, Key=key)

    def fetched(self, key: str) -> int:
        """Return how many bytes of an object the server sent."""
        return sum(row.sent for row in self.requests if row.method == "GET" and row.path.endswith(quote(f"/{key}")))

    def _counting(self, app: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
        def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            self.answers -= 1
            if self.answers < 0:
                start_response("503 Service Unavailable", [("Content-Length", "0")])
                return [b""]
            if ACCESS_KEY not in environ.get("HTTP_AUTHORIZATION", ""):  # moto takes any key, S3 does not
                length = ("Content-Length", str(len(_UNKNOWN_KEY)))
                start_response("403 Forbidden", [("Content-Type", "application/xml"), length])
                # The client would take a body after HEAD for the next answer.
                return [b""] if environ["REQUEST_METHOD"] == "HEAD" else [_UNKNOWN_KEY]
            body = list(app(environ, start_response))
            sent = sum(map(len, body))
            path = quote(environ["PATH_INFO"])
            method, range_, client = environ["REQUEST_METHOD"], environ.get("HTTP_RANGE", ""), environ["REMOTE_ADDR"]
            self.requests.append(Request(method, path, range_, sent, client))
            return body

        return answer
