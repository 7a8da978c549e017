"""Cameras that mean harm: servers on 127.0.0.1 that send nonsense, for as long as somebody listens."""

from __future__ import annotations

import base64
import itertools
import random
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import av
import cv2

from tests.footage import scene, write_clip

_STEP_SECONDS = 0.1
_STEP_BYTES = 30_000  # 2.4 Mbit/s, as a real camera sends
_TS_PACKET, _TS_HEADER = 188, 4
_OK = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\n\r\n"
_MULTIPART = _OK % b"multipart/x-mixed-replace; boundary=frame"

Hears = Callable[[], bytes]
"""Waits for the next request of a client and returns it; the first is there when it is asked for what it sends."""
Sends = Callable[[random.Random, Hears], Iterator[bytes]]
"""What a camera sends to one client, piece by piece."""


@dataclass
class HostileCamera:
    """A server that hears a request and sends what `sends` makes, piece by piece, to each client.

    Attributes
    ----------
    scheme : of its URL
    pause : seconds between two pieces
    asked : when somebody connected, on the monotonic clock
    """

    scheme: str
    sends: Sends
    pause: float = _STEP_SECONDS
    asked: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/cam"

    @property
    def gaps(self) -> list[float]:
        """Seconds from each connection to the next one."""
        return [after - before for before, after in zip(self.asked, self.asked[1:], strict=False)]

    def close(self) -> None:
        self._stop.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        while not self._stop.is_set():
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            self.asked.append(time.monotonic())
            threading.Thread(target=self._answer, args=(peer,), daemon=True).start()

    def _answer(self, peer: socket.socket) -> None:
        rng = random.Random(len(self.asked))
        with peer, suppress(OSError):
            peer.settimeout(30.0)
            for piece in self.sends(rng, lambda: peer.recv(65536)):
                if self._stop.is_set():
                    return
                peer.sendall(piece)
                time.sleep(self.pause)


@contextmanager
def playing(camera: HostileCamera) -> Iterator[HostileCamera]:
    """Close a camera at the end of the block."""
    try:
        yield camera
    finally:
        camera.close()


def noise(head: bytes = b"") -> Sends:
    """Random bytes without end, behind `head`."""

    def sends(rng: random.Random, hears: Hears) -> Iterator[bytes]:
        hears()
        yield head
        while True:
            yield rng.randbytes(_STEP_BYTES)

    return sends


def the_same(piece: bytes, head: bytes = b"") -> Sends:
    """One piece again and again, behind `head`."""

    def sends(_: random.Random, hears: Hears) -> Iterator[bytes]:
        hears()
        yield head
        while True:
            yield piece

    return sends


def once(*pieces: bytes) -> Sends:
    """These pieces, and then the end of the connection."""

    def sends(_: random.Random, hears: Hears) -> Iterator[bytes]:
        hears()
        yield from pieces

    return sends


def picture_without_end() -> Sends:
    """A part of a multipart answer that begins as a JPEG and never ends, as fast as it is taken."""
    picture = cv2.imencode(".jpg", scene(1)[0])[1].tobytes()
    return the_same(bytes(1_000_000), _MULTIPART + b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + picture[:-2])


def scrambled_pictures() -> Sends:
    """JPEGs whose headers are right, and whose pictures are random bytes."""
    pictures = [cv2.imencode(".jpg", frame)[1].tobytes() for frame in scene(10)]

    def sends(rng: random.Random, hears: Hears) -> Iterator[bytes]:
        hears()
        yield _MULTIPART
        while True:
            picture = rng.choice(pictures)
            start = picture.index(b"\xff\xda") + 14
            noise = rng.randbytes(len(picture) - start - 2).replace(b"\xff", b"\xfe")
            body = picture[:start] + noise + picture[-2:]
            yield b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(body) + body + b"\r\n"

    return sends


def changing_pictures() -> Sends:
    """JPEGs of another size each time."""
    sizes = [(96, 64), (192, 128)]
    pictures = [cv2.imencode(".jpg", scene(1, width=w, height=h)[0])[1].tobytes() for w, h in sizes]
    parts = [
        b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(row) + row + b"\r\n"
        for row in pictures
    ]

    def sends(_: random.Random, hears: Hears) -> Iterator[bytes]:
        hears()
        yield _MULTIPART
        while True:
            yield from parts

    return sends


def scrambled_video(folder: Path) -> Sends:
    """A transport stream in whose packets a twentieth of the payloads are random bytes; its times go on for ever."""
    clip = write_clip(folder / "clip.ts", scene(300), fps=10, gop=10, options={"bf": "0"}).read_bytes()
    packets = [clip[at : at + _TS_PACKET] for at in range(0, len(clip), _TS_PACKET)]

    def sends(rng: random.Random, hears: Hears) -> Iterator[bytes]:
        hears()
        yield _OK % b"video/mp2t"
        per_step = max(1, len(packets) // 300)
        while True:
            for at in range(0, len(packets), per_step):
                yield b"".join(
                    row[:_TS_HEADER] + rng.randbytes(_TS_PACKET - _TS_HEADER) if rng.random() < 0.05 else row
                    for row in packets[at : at + per_step]
                )

    return sends


def rtp_of_noise(folder: Path, *, ends: bool) -> Sends:
    """A camera that speaks RTSP rightly, says what its video is, and sends random bytes as its packets.

    Parameters
    ----------
    ends : whether pictures end; else each packet goes on with the same one, as fast as they are taken
    """
    with av.open(str(write_clip(folder / "clip.mp4", scene(2), fps=10, options={"bf": "0"}))) as container:
        extradata = container.streams.video[0].codec_context.extradata or b""
    size = int.from_bytes(extradata[6:8], "big")
    sps, pps = extradata[8 : 8 + size], extradata[11 + size :]
    sets = ",".join(base64.b64encode(row).decode() for row in (sps, pps))
    sdp = (
        "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
        f"a=fmtp:96 packetization-mode=1;sprop-parameter-sets={sets}\r\na=control:track\r\n"
    ).encode()
    more = {
        b"OPTIONS": b"Public: OPTIONS, DESCRIBE, SETUP, PLAY\r\n\r\n",
        b"DESCRIBE": b"Content-Type: application/sdp\r\nContent-Length: %d\r\n\r\n" % len(sdp) + sdp,
        b"SETUP": b"Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n\r\n",
        b"PLAY": b"Session: 1\r\n\r\n",
    }

    def sends(rng: random.Random, hears: Hears) -> Iterator[bytes]:
        request = b""
        while not request.startswith(b"PLAY"):
            request = hears()
            number = re.search(rb"CSeq: (\d+)", request)
            if number is None:
                return
            yield b"RTSP/1.0 200 OK\r\nCSeq: " + number[1] + b"\r\n" + more.get(request.split(b" ")[0], b"\r\n")
        for sequence in itertools.count():
            yield b"".join(_rtp(rng, 20 * sequence + packet, sequence, ends=ends) for packet in range(20))

    return sends


def _rtp(rng: random.Random, sequence: int, picture: int, *, ends: bool) -> bytes:
    """Return one interleaved packet, with a fragment of a picture; each tenth picture is a key frame by its header."""
    kind = 5 if picture % 10 == 0 or not ends else 1
    first, last = sequence % 20 == 0 and (ends or sequence == 0), ends and sequence % 20 == 19
    fragment = bytes([0x7C, first << 7 | last << 6 | kind]) + rng.randbytes(1200)
    time_of_picture = 9000 * picture if ends else 0
    head = struct.pack(">BBHII", 0x80, last << 7 | 96, sequence & 0xFFFF, time_of_picture & 0xFFFFFFFF, 7)
    return b"$\0" + struct.pack(">H", len(head) + len(fragment)) + head + fragment


def hostile_cameras(folder: Path) -> dict[str, HostileCamera]:
    """Return the cameras by the name of their stream."""
    redirect = b"RTSP/1.0 302 Moved\r\nCSeq: 1\r\nLocation: file:///etc/passwd\r\n\r\n"
    rows: Sequence[tuple[str, str, Sends, float]] = (
        ("rtsp-noise", "rtsp", noise(), _STEP_SECONDS),
        ("rtsp-interleaved", "rtsp", noise(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n$\0\xff\xff"), _STEP_SECONDS),
        ("rtsp-header", "rtsp", the_same(b"X: y\r\n" * 1000, b"RTSP/1.0 200 OK\r\n"), _STEP_SECONDS),
        ("rtsp-elsewhere", "rtsp", once(redirect), _STEP_SECONDS),
        ("ends-at-once", "rtsp", once(), _STEP_SECONDS),
        ("rtp-of-noise", "rtsp", rtp_of_noise(folder, ends=True), _STEP_SECONDS),
        ("rtp-without-end", "rtsp", rtp_of_noise(folder, ends=False), 0.0),
        ("http-noise", "http", noise(_OK % b"video/mp2t"), _STEP_SECONDS),
        ("no-http", "http", noise(), _STEP_SECONDS),
        ("interim", "http", the_same(b"HTTP/1.1 100 Continue\r\n\r\n" * 100), 0.01),
        ("slow-head", "http", the_same(b"X", b"HTTP/1.1 200 OK\r\n"), 1.0),
        ("slow-body", "http", the_same(b"G", _OK % b"video/mp2t"), 1.0),
        ("endless-picture", "http", picture_without_end(), 0.01),
        ("scrambled-pictures", "http", scrambled_pictures(), _STEP_SECONDS),
        ("changing-pictures", "http", changing_pictures(), _STEP_SECONDS),
        ("scrambled-video", "http", scrambled_video(folder), _STEP_SECONDS),
    )
    return {name: HostileCamera(scheme, sends, pause) for name, scheme, sends, pause in rows}
