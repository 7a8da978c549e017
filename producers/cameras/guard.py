"""A relay on loopback that stands between FFmpeg and one camera, so that FFmpeg reaches that camera and nothing else.

FFmpeg's RTSP client follows a redirect to any host, and has no switch for it. (FFmpeg 8.1.2 follows none while its list
of allowed protocols lacks `rtsp`, as ours does; that is not documented, and nothing here relies on it.) It does not
check the certificate of a camera that speaks TLS either. So it is given an address of this relay, which connects to
the camera's host alone, checks its certificate, and ends the connection at the first sign of a redirect.
"""

from __future__ import annotations

import re
import select
import socket
import ssl
import threading
import time
from contextlib import suppress

from common.errors import CameraUnavailable
from common.sources.cameras import CameraAddress
from producers.cameras.allowance import NO_PICTURE, Allowance

# A reply of RTSP, and its status if that is 3xx, as loosely as FFmpeg reads it: carriage returns do not count wherever
# they stand, words are parted by any blanks, and the number may begin with blanks of another kind (in some locales
# bytes above 127 are such), a sign and zeros. A number of more digits is refused with them, for C cuts it to 32 bits:
# 4294967598 is 302. It is looked for in all that comes, because a hostile camera decides what is a reply and what is
# picture; video of 3 Mbit/s holds such bytes by chance once in several thousand years. Nothing is read twice on the
# way (possessive quantifiers, and a reply without such a status matches too), so no camera can make the search slow.
_BEGINNING = b"RTSP/"
_REPLY = re.compile(rb"RTSP/[^ \t\n]*+[ \t]*+(?:[\v\f\x80-\xff]*+[+-]?0*+(3\d\d|[1-9]\d{3}))?")
REDIRECTS = "it redirects to another address, which is not followed: give that one as its url"
_LONGEST_LINE = 4096  # bytes without carriage returns; FFmpeg keeps no more of a line (MAX_URL_SIZE)
_STEP_BYTES = 256 * 1024
_PAUSE_SECONDS = 0.04  # between two reads, so that packets come by the dozen: fifty cameras cost a twentieth of a core
_LOOK_SECONDS = 0.5  # how soon a close is noticed


class RedirectSearch:
    """Looks for redirects in what a camera sends, wherever reads have cut it."""

    def __init__(self) -> None:
        self._tail = b""

    def finds(self, data: bytes) -> bool:
        """Return whether a redirect ends in `data`, which follows what was given before."""
        seen = self._tail + data.replace(b"\r", b"")
        self._tail = seen[-_LONGEST_LINE:]
        return _BEGINNING in seen and any(reply[1] for reply in _REPLY.finditer(seen))


class Guard:
    """One relay for one connection. It ends with `close`, or when either side ends.

    Parameters
    ----------
    address : of the camera
    seconds : that the camera may take to answer
    allowance : of bytes without a picture

    Attributes
    ----------
    why : what ended the connection, if it was not FFmpeg
    heard_at : when something came from the camera last, else when this began, on the monotonic clock
    """

    def __init__(self, address: CameraAddress, seconds: float, allowance: Allowance) -> None:
        self._address = address
        self._seconds = seconds
        self._allowance = allowance
        self._closed = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1)
        self.port: int = self._listener.getsockname()[1]
        self.why = ""
        self.heard_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="camera-guard", daemon=True)
        self._thread.start()

    def refusal(self) -> CameraUnavailable | None:
        """Return the error for what was cut off here; None if nothing was."""
        return CameraUnavailable(self.why) if self.why in {REDIRECTS, NO_PICTURE} else None

    def close(self) -> None:
        """End the connection; FFmpeg, if it still reads, meets its end."""
        self._closed.set()
        self._thread.join(2 * _LOOK_SECONDS)

    def _run(self) -> None:
        with self._listener:
            self._listener.settimeout(self._seconds)
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
        with client:
            try:
                with self._camera() as camera:
                    self._relay(client, camera)
            except ssl.SSLCertVerificationError as error:
                self.why = f"its certificate is not valid ({error.verify_message})"
            except TimeoutError:
                self.why = self.why or f"nothing came for {self._seconds:g} s"
            except OSError as error:
                self.why = self.why or (error.strerror or str(error))

    def _camera(self) -> socket.socket:
        plain = socket.create_connection((self._address.host, self._address.port), self._seconds)
        if self._address.parts.scheme != "rtsps":
            return plain
        try:
            return ssl.create_default_context().wrap_socket(plain, server_hostname=self._address.host)
        except BaseException:
            plain.close()
            raise

    def _relay(self, client: socket.socket, camera: socket.socket) -> None:
        client.settimeout(self._seconds)
        redirects = RedirectSearch()
        while not self._closed.is_set():
            waiting = camera.pending() if isinstance(camera, ssl.SSLSocket) else 0
            ready, _, _ = select.select([client, camera], [], [], 0 if waiting else _LOOK_SECONDS)
            if client in ready:
                said = client.recv(_STEP_BYTES)
                if not said:
                    return
                camera.sendall(said)
            if camera in ready or waiting:
                data = camera.recv(_STEP_BYTES)
                if not data:
                    self.why = "it ended the connection"
                    return
                if redirects.finds(data):
                    self.why = REDIRECTS
                    return
                if self._allowance.exceeds(len(data)):
                    self.why = NO_PICTURE
                    return
                self.heard_at = time.monotonic()
                client.sendall(data)
                self._closed.wait(_PAUSE_SECONDS)
        with suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)
