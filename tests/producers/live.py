"""Live cameras for tests: real servers on free ports of loopback, of RTSP (GStreamer's) and of HTTP."""

from __future__ import annotations

import base64
import functools
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import pytest

from sentinel.stack.redis_server import free_port
from tests.footage import scene, write_clip
from tests.network import Network

SYSTEM_PYTHON = "/usr/bin/python3"  # which alone knows Debian's python3-gi
SERVER = Path(__file__).parents[2] / "benchmarks" / "rtsp_server.py"
_IMPORTS = (
    "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import Gst, GstRtspServer; "
    "Gst.init(None); assert Gst.ElementFactory.find('h264parse') and Gst.ElementFactory.find('rtph264pay')"
)
FPS = 10.0
ONE_SLICE = {"bf": "0", "x264-params": "sliced-threads=0:slices=1"}


@functools.cache
def has_rtsp_server() -> bool:
    try:
        return subprocess.run([SYSTEM_PYTHON, "-c", _IMPORTS], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def needs_rtsp_server() -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        not has_rtsp_server(),
        reason="GStreamer's RTSP server is not installed: apt-get install python3-gi gir1.2-gst-rtsp-server-1.0 "
        "gstreamer1.0-plugins-good gstreamer1.0-plugins-bad",
    )


def camera_clip(
    path: Path, seconds: float = 60.0, *, width: int = 96, height: int = 64, seed: int = 0, gop: int = 10
) -> Path:
    """Write what a camera sends: ten frames per second, a key frame every `gop` frames, none reordered."""
    images = scene(round(seconds * FPS), width=width, height=height, seed=seed)
    return write_clip(path, images, fps=FPS, gop=gop, options=ONE_SLICE)


@contextmanager
def rtsp_server(
    files: dict[str, Path], port: int = 0, *, user: str = "", password: str = "", network: Network | None = None
) -> Iterator[int]:
    """Play `files` to whoever asks for rtsp://127.0.0.1:PORT/NAME, or inside `network`; yield the port."""
    port = port or free_port()
    words = [SYSTEM_PYTHON, str(SERVER), str(port), *(f"{name}={file}" for name, file in files.items())]
    words += ["--user", user, "--password", password] if user else []
    if network is not None:
        words = network.command([*words, "--address", network.inside])
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
            yield port
        finally:
            process.kill()


@contextmanager
def http_camera(
    answer: Callable[[BaseHTTPRequestHandler], None], port: int = 0, *, user: str = "", password: str = ""
) -> Iterator[int]:
    """Answer each GET with `answer`, behind basic authentication if there is a `user`; yield the port."""
    expected = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if user and self.headers.get("Authorization") != expected:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="camera"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            try:
                answer(self)
            except (BrokenPipeError, ConnectionResetError):
                pass

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def motion_jpeg(seconds: float, *, fps: float = FPS, seed: int = 0) -> Callable[[BaseHTTPRequestHandler], None]:
    """Pictures in a multipart answer, at their rate, as most network cameras send them."""
    pictures = [cv2.imencode(".jpg", frame)[1].tobytes() for frame in scene(round(seconds * fps), seed=seed)]

    def answer(to: BaseHTTPRequestHandler) -> None:
        to.send_response(200)
        to.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        to.end_headers()
        for picture in pictures:
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
            to.wfile.write(head.encode() + picture + b"\r\n")
            time.sleep(1 / fps)

    return answer


def whole_body(body: bytes, kind: str = "application/octet-stream") -> Callable[[BaseHTTPRequestHandler], None]:
    """These bytes at once."""

    def answer(to: BaseHTTPRequestHandler) -> None:
        to.send_response(200)
        to.send_header("Content-Type", kind)
        to.end_headers()
        to.wfile.write(body)

    return answer


@contextmanager
def raw_server(says: Callable[[socket.socket, bytes], None]) -> Iterator[int]:
    """A server of plain bytes: `says` gets each connection and what came first on it; yield the port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            with peer:
                try:
                    says(peer, peer.recv(65536))
                except OSError:
                    pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


def until(true: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until something is true; fail if it does not become so."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)
