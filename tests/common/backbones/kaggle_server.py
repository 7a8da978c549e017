"""Kaggle as its client meets it: the calls of the API that a download makes, and the store that files come from.

The client's endpoints are fixed. So this is their HTTP proxy too, which makes any free port do.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

PAGE_FILES = 3  # in one answer, so that a model of more files takes several
_SERVICE = "/api/v1/models.ModelApiService/"
_NAME = {"ownerSlug": "lab", "modelSlug": "tiny", "framework": "MODEL_FRAMEWORK_ONNX", "instanceSlug": "small"}


class KaggleServer(ThreadingHTTPServer):
    """One variation, `lab/tiny/onnx/small`, in several versions: files by version and name."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.versions: dict[int, dict[str, bytes]] = {}
        self.token = ""  # only who shows it may read; empty: everybody
        self.damaged = False  # files arrive with a byte changed
        self.silent = threading.Event()  # set: no answer
        self.asked: list[str] = []

    def environment(self, home: Path) -> dict[str, str]:
        """Return what sends the client here, from a user's home that holds no credentials."""
        proxy = f"http://127.0.0.1:{self.server_port}"
        proxies = {"HTTP_PROXY": proxy, "http_proxy": proxy, "NO_PROXY": "", "no_proxy": ""}
        return {"KAGGLE_API_ENVIRONMENT": "LOCALHOST", "HOME": str(home), **proxies}


class _Handler(BaseHTTPRequestHandler):
    server: KaggleServer

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        method = urlsplit(self.path).path.removeprefix(_SERVICE)
        self.server.asked.append(" ".join([method, str(asked.get("path", ""))]).strip())
        while self.server.silent.wait(0.1):
            pass
        version = asked.get("versionNumber", max(self.server.versions, default=0))
        files = self.server.versions.get(version, {})
        if self.server.token and self.headers.get("Authorization") != f"Bearer {self.server.token}":
            self._refuse(401, "Unauthenticated")
        elif any(asked.get(key) != value for key, value in _NAME.items()) or not files:
            self._refuse(404, "Requested entity was not found.")
        elif method == "GetModelInstance":
            self._answer({"slug": "small", "versionNumber": version})
        elif method == "ListModelInstanceVersionFiles":
            self._list(sorted(files), int(asked.get("pageToken") or 0))
        elif method == "DownloadModelInstanceVersion" and asked["path"] in files:
            self.send_response(302)
            self.send_header("Location", f"http://store.localhost/{version}/{quote(asked['path'], safe='')}")
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._refuse(404, "Requested entity was not found.")

    def do_GET(self) -> None:
        version, name = urlsplit(self.path).path.lstrip("/").split("/")
        data = self.server.versions[int(version)][unquote(name)]
        digest = base64.b64encode(hashlib.md5(data).digest()).decode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("x-goog-hash", f"crc32c=AAAAAA==,md5={digest}")
        self.end_headers()
        self.wfile.write(bytes([data[0] ^ 1]) + data[1:] if self.server.damaged else data)

    def _list(self, names: list[str], start: int) -> None:
        page = names[start : start + PAGE_FILES]
        more = str(start + PAGE_FILES) if start + PAGE_FILES < len(names) else ""
        self._answer({"files": [{"name": name, "size": 1} for name in page], "nextPageToken": more})

    def _refuse(self, status: int, message: str) -> None:
        self._answer({"code": status, "message": message}, status)

    def _answer(self, body: object, status: int = 200) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def running() -> Iterator[KaggleServer]:
    server = KaggleServer()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.silent.clear()
    server.shutdown()
    server.server_close()
