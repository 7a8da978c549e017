"""Connections to real servers, kind and hostile: what is refused, what is said, and that no password is."""

from __future__ import annotations

import re
import socket
import time
import traceback
from http.server import BaseHTTPRequestHandler
from itertools import islice
from pathlib import Path

import pytest

from common.errors import CameraUnavailable
from common.sources.cameras import CameraAddress
from producers.cameras import allowance
from producers.cameras.connection import connect
from producers.cameras.guard import RedirectSearch
from tests.footage import scene, write_clip
from tests.hostile.cameras import (
    HostileCamera,
    Sends,
    noise,
    once,
    picture_without_end,
    playing,
    rtp_of_noise,
    the_same,
)
from tests.producers.live import (
    camera_clip,
    http_camera,
    motion_jpeg,
    needs_rtsp_server,
    raw_server,
    rtsp_server,
    whole_body,
)

SECRET = "p@ss:w/rd ?x"
SECONDS = 3.0


def refusal(address: CameraAddress) -> str:
    with pytest.raises(CameraUnavailable) as refused, connect(address, SECONDS) as connection:
        for _ in connection.packets():
            pass
    text = "".join(traceback.format_exception(refused.value))  # all that a log could show
    assert SECRET not in text and "p%40ss" not in text
    return str(refused.value)


@needs_rtsp_server()
def test_packets_come_by_rtsp_and_the_camera_tells_its_time(tmp_path: Path) -> None:
    clip = camera_clip(tmp_path / "a.mp4")
    with (
        rtsp_server({"cam": clip}) as port,
        connect(CameraAddress(f"rtsp://127.0.0.1:{port}/cam"), SECONDS) as camera,
    ):
        packets = list(islice(camera.packets(), 45))
        assert (camera.stream.codec_context.width, camera.stream.codec_context.height) == (96, 64)
        assert sum(packet.is_keyframe for packet in packets) >= 4
        told = camera.camera_time(packets[-1].pts or 0)
        assert told is not None and abs(told - time.time()) < 60


@needs_rtsp_server()
def test_a_camera_that_wants_a_password_gets_it_and_says_so_if_it_is_wrong(tmp_path: Path) -> None:
    clip = camera_clip(tmp_path / "a.mp4")
    with rtsp_server({"cam": clip}, user="b ob", password=SECRET) as port:
        url = f"rtsp://127.0.0.1:{port}/cam"
        assert "401" in refusal(CameraAddress(url))
        assert "401" in refusal(CameraAddress(url, "b ob", SECRET + "no"))
        assert "404" in refusal(CameraAddress(url + "x", "b ob", SECRET))
        with connect(CameraAddress(url, "b ob", SECRET), SECONDS) as camera:
            assert len(list(islice(camera.packets(), 5))) == 5


# What FFmpeg reads as a redirect.
REDIRECTING = [
    b"RTSP/1.0 302 Moved",
    b"RTSP/1.0 +301 x",
    b"RTSP/1.0 0307 y",
    b"RTSP/1.0 305  z",
    b"R\rT\r\rSP/1.0\r 3\r0\r2",
    b"RTSP/" + b"x" * 65 + b" 302",
    b"RTSP/1.0" + b" \t" * 40 + b"302",
    b"RTSP/1.0 " + b"0" * 65 + b"302",
    b"RTSP/1.0 \v302",
    b"RTSP/1.0 \f\v+0302",
    b"RTSP/1.0 4294967598",
    b"RTSP/1.0 -4294966994",
    b"RTSP/" + b"x" * 4085 + b" 302",
]


@pytest.mark.parametrize("head", REDIRECTING, ids=lambda head: repr(head[:30]))
def test_a_redirect_by_rtsp_is_not_followed_and_nobody_else_learns_the_password(head: bytes) -> None:
    heard: list[bytes] = []

    def other(peer: socket.socket, first: bytes) -> None:
        heard.append(first)

    with raw_server(other) as elsewhere:

        def says(peer: socket.socket, first: bytes) -> None:
            number = re.search(rb"CSeq: (\d+)", first)
            assert number
            rest = b"\r\nCSeq: " + number[1] + b"\r\nLocation: rtsp://127.0.0.1:%d/x\r\n\r\n" % elsewhere
            # In two parts, cut within the status: it is found all the same.
            peer.sendall(head[:-2])
            time.sleep(0.1)
            peer.sendall(head[-2:] + rest)
            peer.settimeout(SECONDS)
            peer.recv(1)

        with raw_server(says) as port:
            said = refusal(CameraAddress(f"rtsp://127.0.0.1:{port}/cam", "bob", SECRET))
    assert "redirects" in said
    assert heard == []


@pytest.mark.parametrize("head", REDIRECTING, ids=lambda head: repr(head[:30]))
def test_a_redirect_is_found_wherever_reads_cut_it(head: bytes) -> None:
    before = b"$\0\0\4abcd\n"
    for cut in range(len(head) + 1):
        search = RedirectSearch()
        first, second = search.finds(before + head[:cut]), search.finds(head[cut:] + b"\r\n")
        assert first or second, cut


@pytest.mark.parametrize(
    "reply",
    [b"RTSP/1.0 200 OK\r\nX: 302\r\n", b"RTSP/1.0 401 No\r\n", b"RTSP/1.0\n302\n", b"RTSP/ x302", b"RTSP/1.0 32"],
)
def test_other_replies_are_no_redirects(reply: bytes) -> None:
    for cut in range(len(reply) + 1):
        search = RedirectSearch()
        assert not search.finds(reply[:cut]) and not search.finds(reply[cut:])


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00" * 100_000,
        b"RTSP/1.0 200 OK\r\n" + b"X: y\r\n" * 50_000,
        b"$\x00\xff\xff" * 10_000,
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"",
    ],
)
def test_a_camera_that_sends_garbage_is_given_up_within_its_time(garbage: bytes) -> None:
    def says(peer: socket.socket, first: bytes) -> None:
        peer.sendall(garbage)
        peer.settimeout(20)
        peer.recv(1)

    with raw_server(says) as port:
        assert f"rtsp://127.0.0.1:{port}/cam: " in refusal(CameraAddress(f"rtsp://127.0.0.1:{port}/cam", "bob", SECRET))


def test_a_camera_that_says_nothing_is_given_up() -> None:
    def says(peer: socket.socket, first: bytes) -> None:
        peer.settimeout(20)
        peer.recv(1)

    with raw_server(says) as port:
        for scheme in ("rtsp", "http"):
            assert "nothing came for 3 s" in refusal(CameraAddress(f"{scheme}://127.0.0.1:{port}/cam"))


def test_a_camera_that_is_not_there_is_said_to_refuse() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    for scheme in ("rtsp", "http"):
        assert "refused" in refusal(CameraAddress(f"{scheme}://127.0.0.1:{port}/cam"))


def test_a_camera_with_a_certificate_that_nobody_signed_is_refused() -> None:
    def says(peer: socket.socket, first: bytes) -> None:
        peer.sendall(b"no TLS")

    with raw_server(says) as port:
        for scheme in ("rtsps", "https"):
            refusal(CameraAddress(f"{scheme}://127.0.0.1:{port}/cam", "bob", SECRET))


def test_pictures_by_http_are_timed_by_their_arrival() -> None:
    with http_camera(motion_jpeg(3.0), user="bob", password=SECRET) as port:
        url = f"http://127.0.0.1:{port}/video"
        assert "401" in refusal(CameraAddress(url))
        assert "401" in refusal(CameraAddress(url, "bob", "wrong"))
        with connect(CameraAddress(url, "bob", SECRET), SECONDS) as camera:
            packets = list(islice(camera.packets(), 20))
            assert camera.timed_by_arrival and camera.stream.time_base is not None
            took = float(((packets[-1].pts or 0) - (packets[0].pts or 0)) * camera.stream.time_base)
        assert all(packet.is_keyframe for packet in packets)
        assert took == pytest.approx(1.9, abs=0.8)


def test_a_transport_stream_by_http_is_read(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.ts", scene(60), fps=10, options={"bf": "0"})
    with (
        http_camera(whole_body(clip.read_bytes(), "video/mp2t")) as port,
        connect(CameraAddress(f"http://127.0.0.1:{port}/"), SECONDS) as camera,
    ):
        assert len(list(camera.packets())) == 60


@pytest.mark.parametrize("place", ["file:///etc/passwd", "http://127.0.0.1:%d/b", "/elsewhere"])
def test_a_redirect_by_http_is_not_followed(place: str) -> None:
    asked: list[str] = []

    def answer(to: BaseHTTPRequestHandler) -> None:
        asked.append(to.path)
        to.send_response(302)
        to.send_header("Location", place % to.server.server_address[1] if "%d" in place else place)  # type: ignore[index]
        to.end_headers()

    with http_camera(answer) as port:
        assert "redirects" in refusal(CameraAddress(f"http://127.0.0.1:{port}/a", "bob", SECRET))
    assert asked == ["/a"]


@pytest.mark.parametrize(
    "body",
    [
        b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nm=video 5004 RTP/AVP 96\r\n",
        b"\x00" * 200_000,
        b"<html>no camera</html>",
        b"",
    ],
)
def test_a_playlist_or_garbage_by_http_is_no_video(body: bytes) -> None:
    with http_camera(whole_body(body)) as port:
        refusal(CameraAddress(f"http://127.0.0.1:{port}/live", "bob", SECRET))


@pytest.mark.parametrize(
    "place", ["file:///etc/passwd", "http://169.254.169.254/latest", "rtsp://bob:hunter2@127.0.0.1:9/x"]
)
def test_wherever_a_redirect_by_rtsp_leads_it_is_refused_and_not_quoted(place: str) -> None:
    head = f"RTSP/1.0 302 Moved\r\nCSeq: 1\r\nLocation: {place}\r\n\r\n".encode()
    with playing(HostileCamera("rtsp", once(head))) as camera:
        said = refusal(CameraAddress(camera.url, "bob", SECRET))
    assert "redirects" in said
    assert not any(word in said for word in ("passwd", "169.254", "hunter2"))


SHORT_SECONDS = 0.3


@pytest.mark.parametrize(
    ("sends", "pause", "said"),
    [
        (the_same(b"HTTP/1.1 100 Continue\r\n\r\n" * 100), 0.01, "http://"),
        (the_same(b"X", b"HTTP/1.1 200 OK\r\n"), 0.1, "http://"),
        (the_same(b"G", b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\n\r\n"), 0.1, "no end of a picture"),
        (noise(), 0.01, "http://"),
    ],
    ids=["interim answers", "a slow head", "a slow body", "no HTTP"],
)
def test_a_camera_by_http_that_never_comes_to_a_picture_is_given_up(sends: Sends, pause: float, said: str) -> None:
    with (
        playing(HostileCamera("http", sends, pause)) as camera,
        pytest.raises(CameraUnavailable, match=said),
        connect(CameraAddress(camera.url, "bob", SECRET), SHORT_SECONDS) as connection,
    ):
        list(connection.packets())


@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_a_picture_without_end_is_not_kept(scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allowance, "_MOST_BYTES", 3_000_000)
    sends = picture_without_end() if scheme == "http" else rtp_of_noise(tmp_path, ends=False)
    with (
        playing(HostileCamera(scheme, sends, 0.0)) as camera,
        pytest.raises(CameraUnavailable, match="no end of a picture"),
        connect(CameraAddress(camera.url), SECONDS) as connection,
    ):
        for packet in connection.packets():
            assert packet.size <= 3_000_000


def test_packets_of_random_bytes_are_packets(tmp_path: Path) -> None:
    with (
        playing(HostileCamera("rtsp", rtp_of_noise(tmp_path, ends=True), 0.02)) as camera,
        connect(CameraAddress(camera.url), SECONDS) as connection,
    ):
        packets = list(islice(connection.packets(), 25))
    assert any(packet.is_keyframe for packet in packets) and all(packet.size > 10_000 for packet in packets)
