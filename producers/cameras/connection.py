"""A connection to one live camera: packets of its first video stream, which nothing here decodes.

RTSP goes over TCP, through a relay that keeps FFmpeg at the one host (`guard`). HTTP is Python's own, which follows no
redirect and checks certificates; FFmpeg gets the body alone. Neither can open a file or another protocol.
"""

from __future__ import annotations

import http.client
import ssl
import time
import urllib.error
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO
from urllib.parse import quote

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from common.errors import CameraUnavailable
from common.printable import printable
from common.sources.cameras import CameraAddress
from producers.cameras.allowance import NO_PICTURE, Allowance
from producers.cameras.asking import ask
from producers.cameras.guard import REDIRECTS, Guard

_ANALYZE_MICROSECONDS = "1000000"  # of the stream are looked at before it begins, for its size and codec
_PROBE_BYTES = "5000000"
_COMMON = {
    "skip_frame": "all",  # FFmpeg would decode a picture for what the headers say
    "analyzeduration": _ANALYZE_MICROSECONDS,
    "probesize": _PROBE_BYTES,
}
# Containers that hold their frames themselves; playlists refer to other hosts.
_HTTP_CONTAINERS = "mpegts,mov,mp4,matroska,webm,flv,mpjpeg,mjpeg,h264,hevc"
_MULTIPART = "multipart/"
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 401, 403, 404
_HEAD_TIMES = 2  # the time that it may send nothing, for all of the head of an answer by HTTP
_SILENT = "nothing came for {seconds:g} s"
_SILENT_SHARE = 0.9  # of the time that a camera may send nothing
_REDIRECTING = range(300, 400)
_STATUS_MEANS = {
    _UNAUTHORIZED: "it refuses user or password (401): see user, password_env and password_file of its table",
    _FORBIDDEN: "it refuses this user (403)",
    _NOT_FOUND: "it has no such stream (404): see the path in its url",
}
_ERROR_MEANS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
    (ssl.SSLCertVerificationError, "its certificate is not valid"),
    ((TimeoutError, av.error.ExitError), _SILENT),
    (av.error.InvalidDataError, "what it sends is no video that can be read"),
    (av.error.EOFError, "it ended the connection"),
)
_LONGEST_REASON = 200


@dataclass(frozen=True)
class Connection:
    """An open camera.

    Attributes
    ----------
    container, stream : FFmpeg's
    timed_by_arrival : whether packets carry our clock instead of the camera's
    allowance : of bytes without a packet
    cut_by : returns why what came was cut off before its end, None while it was not
    """

    container: InputContainer
    stream: VideoStream
    timed_by_arrival: bool
    allowance: Allowance
    cut_by: Callable[[], Exception | None]

    def packets(self) -> Iterator[Packet[VideoStream]]:
        """Yield packets as they come, until the camera ends."""
        for packet in self.container.demux(self.stream):
            if packet.size:
                self.allowance.renew()
                yield packet
        if (error := self.cut_by()) is not None:
            raise error

    def camera_time(self, pts: int) -> float | None:
        """Return what the camera's own clock said at `pts`, seconds since the epoch; None while it has not told."""
        told, base = self.container.start_time_realtime, self.stream.time_base
        if not told or told < 0 or base is None:
            return None
        return told / av.time_base + float(pts * base)


@contextmanager
def connect(address: CameraAddress, seconds: float) -> Iterator[Connection]:
    """Open a camera for the block.

    Parameters
    ----------
    seconds : that it may send nothing

    Raises
    ------
    CameraUnavailable
        Also from within the block, when the camera ends, fails or sends nothing. Its text holds no user or password.
    """
    opened = _over_rtsp if address.parts.scheme.startswith("rtsp") else _over_http
    with opened(address, seconds) as connection:
        yield connection


@contextmanager
def _over_rtsp(address: CameraAddress, seconds: float) -> Iterator[Connection]:
    allowance = Allowance(seconds)
    guard = Guard(address, seconds, allowance)
    try:
        with _explained(address, seconds, guard):
            options = {
                **_COMMON, "rtsp_transport": "tcp", "allowed_media_types": "video", "protocol_whitelist": "tcp",
                "format_whitelist": "rtsp",
            }  # fmt: skip
            url = _through(guard, address)
            with av.open(url, mode="r", options=options, timeout=seconds) as container:
                yield Connection(
                    container, _video(container), timed_by_arrival=False, allowance=allowance, cut_by=guard.refusal
                )
    finally:
        guard.close()


def _through(guard: Guard, address: CameraAddress) -> str:
    """Return the camera's URL as FFmpeg is given it: at the relay, with user and password."""
    parts = address.parts
    who = f"{quote(address.user, safe='')}:{quote(address.password or '', safe='')}@" if address.user else ""
    query = f"?{parts.query}" if parts.query else ""
    return f"rtsp://{who}127.0.0.1:{guard.port}{parts.path}{query}"


@contextmanager
def _over_http(address: CameraAddress, seconds: float) -> Iterator[Connection]:
    with _explained(address, seconds, None), ask(address, seconds, _HEAD_TIMES * seconds) as answer:
        multipart = (answer.headers.get("Content-Type") or "").lower().startswith(_MULTIPART)
        options = {**_COMMON, "format_whitelist": _HTTP_CONTAINERS, "protocol_whitelist": ""}
        if multipart:  # pictures without times: they are taken when they come
            options["use_wallclock_as_timestamps"] = "1"
        body = _Body(answer, Allowance(seconds))
        file: IO[bytes] = body  # type: ignore[assignment]  # all that PyAV asks of a file is `read`
        try:
            with av.open(file, mode="r", format="mpjpeg" if multipart else None, options=options) as container:
                yield Connection(
                    container, _video(container), multipart, allowance=body.allowance, cut_by=lambda: body.error
                )
        except (av.error.FFmpegError, CameraUnavailable):
            if body.error is not None:
                raise body.error from None
            raise


class _Body:
    """The body of an answer as a file that is read in order. A read returns what has come, and waits only for that.

    FFmpeg goes on reading after an error, so it is told that the file has ended instead.

    Attributes
    ----------
    allowance : of bytes without a packet
    error : what ended it before its end
    """

    def __init__(self, answer: http.client.HTTPResponse, allowance: Allowance) -> None:
        self.allowance = allowance
        self.error: Exception | None = None
        self._answer = answer

    def read(self, size: int) -> bytes:
        if self.error is not None:
            return b""
        try:
            data = self._answer.read1(size)
        except (OSError, ValueError, http.client.HTTPException) as error:
            self.error = error
            return b""
        if self.allowance.exceeds(len(data)):
            self.error = CameraUnavailable(NO_PICTURE)
            return b""
        return data


def _video(container: InputContainer) -> VideoStream:
    for stream in container.streams.video:
        if stream.codec_context is not None:
            return stream
    raise CameraUnavailable("it sends no video that is known here")


@contextmanager
def _explained(address: CameraAddress, seconds: float, guard: Guard | None) -> Iterator[None]:
    """Turn what goes wrong within the block into a `CameraUnavailable` that names the camera and holds no secret.

    The errors of FFmpeg and of Python may quote the URL, and with it the password, so only their reason is taken.
    """
    try:
        yield
    except CameraUnavailable as error:
        raise CameraUnavailable(f"{address.shown}: {error}") from None
    except (av.error.FFmpegError, OSError, ValueError, http.client.HTTPException) as error:
        why = (_told(guard, seconds) if guard is not None else "") or _reason(error, seconds)
        raise CameraUnavailable(f"{address.shown}: {printable(why)[:_LONGEST_REASON]}") from None


def _told(guard: Guard, seconds: float) -> str:
    """Return what the relay knows of the end of a connection, for FFmpeg has one error for many; empty: nothing."""
    silent = time.monotonic() - guard.heard_at >= _SILENT_SHARE * seconds
    return guard.why or (_SILENT.format(seconds=seconds) if silent else "")


def _reason(error: Exception, seconds: float) -> str:
    status = _status(error)
    if status is not None:
        other = REDIRECTS if status in _REDIRECTING else f"it answers with status {status}"
        return _STATUS_MEANS.get(status, other)
    if isinstance(error, urllib.error.URLError):
        cause = error.reason
        return _reason(cause, seconds) if isinstance(cause, Exception) else str(cause)
    said = next((text for kinds, text in _ERROR_MEANS if isinstance(error, kinds)), "")
    return (
        said.format(seconds=seconds) or (error.strerror if isinstance(error, OSError) else "") or type(error).__name__
    )


def _status(error: Exception) -> int | None:
    """Return the status of HTTP or RTSP that an error stands for, if it does."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code
    known = {
        av.error.HTTPUnauthorizedError: _UNAUTHORIZED,
        av.error.HTTPForbiddenError: _FORBIDDEN,
        av.error.HTTPNotFoundError: _NOT_FOUND,
    }
    return next((status for kind, status in known.items() if isinstance(error, kind)), None)
