"""The few answers of GitHub's API that `gh` asks for when it starts a workflow and downloads an artefact."""

from __future__ import annotations

import io
import json
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

HOST = "github.localhost"
"""A name that `gh` speaks to without TLS. It is never looked up: requests go to the server as to a proxy."""


@dataclass
class Api:
    """What was asked for.

    Attributes
    ----------
    port : where the server listens
    artefacts : a folder for each run, with a folder for each artefact
    dispatched : the bodies with which workflows were started, by their files
    tokens : the values of all Authorization headers
    """

    artefacts: Path
    port: int = 0
    dispatched: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)

    @property
    def environment(self) -> dict[str, str]:
        """What makes `gh` speak to this server."""
        return {"GH_HOST": HOST, "HTTP_PROXY": f"http://127.0.0.1:{self.port}", "GH_NO_UPDATE_NOTIFIER": "1"}

    def answer(self, path: str, body: bytes) -> bytes | None:
        """Return the answer to a request; None: there is none but success."""
        match path.strip("/").split("/"):
            case ["repos", "lab", "vfi", "actions", "workflows", file]:
                return json.dumps({"id": 5, "name": file, "path": file, "state": "active"}).encode()
            case ["repos", "lab", "vfi", "actions", "workflows", number, "dispatches"]:
                self.dispatched.append((number, json.loads(body)))
                return None
            case ["repos", "lab", "vfi", "actions", "runs", run, "artifacts"]:
                kept = [
                    {"name": one.name, "size_in_bytes": 1, "expired": False,
                     "archive_download_url": f"http://api.{HOST}/archive/{run}/{one.name}"}
                    for one in (self.artefacts / run).iterdir()
                ]  # fmt: skip
                return json.dumps({"total_count": len(kept), "artifacts": kept}).encode()
            case ["archive", run, name]:
                return _zipped(self.artefacts / run / name)
        raise AssertionError(f"gh asks for {path}")


def _zipped(folder: Path) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for path in folder.rglob("*"):
            file.write(path, path.relative_to(folder))
    return archive.getvalue()


@contextmanager
def github_api(artefacts: Path) -> Iterator[Api]:
    """Serve on a free port of this machine while the block runs."""
    api = Api(artefacts)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            api.tokens.add(self.headers["Authorization"])
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            found = api.answer(urlsplit(self.path).path, body)
            self.send_response(204 if found is None else 200)
            self.send_header("Content-Length", str(len(found or b"")))
            self.end_headers()
            self.wfile.write(found or b"")

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, *about: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    api.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
