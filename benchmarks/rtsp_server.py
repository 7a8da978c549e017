"""An RTSP server that plays files as cameras do: GStreamer's, which the system's own Python runs.

    /usr/bin/python3 benchmarks/rtsp_server.py PORT NAME=FILE... [--address ADDRESS] [--user NAME --password WORD]

On Debian: apt install python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-good gstreamer1.0-plugins-bad. Each
FILE is an MP4 of H.264, played at its own rate from its beginning to each who asks for rtsp://ADDRESS:PORT/NAME
(127.0.0.1). Says `ready` once it listens.
"""

from __future__ import annotations

import argparse
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("port")
    parser.add_argument("files", nargs="+", metavar="NAME=FILE")
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--user")
    parser.add_argument("--password")
    asked = parser.parse_args()
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address(asked.address)
    server.set_service(asked.port)
    if asked.user:
        _want_password(server, asked.user, asked.password)
    for row in asked.files:
        name, _, file = row.partition("=")
        server.get_mount_points().add_factory(f"/{name}", _factory(file, locked=bool(asked.user)))
    server.attach(None)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    GLib.MainLoop().run()


def _factory(file: str, *, locked: bool) -> GstRtspServer.RTSPMediaFactory:
    factory = GstRtspServer.RTSPMediaFactory()
    caps = "video/x-h264,stream-format=byte-stream,alignment=au"
    factory.set_launch(
        f'( filesrc location="{file}" ! qtdemux ! h264parse ! {caps} ! rtph264pay name=pay0 pt=96 config-interval=-1 )'
    )
    if locked:
        permissions = GstRtspServer.RTSPPermissions.new()
        permissions.add_permission_for_role("viewer", "media.factory.access", True)
        permissions.add_permission_for_role("viewer", "media.factory.construct", True)
        factory.set_permissions(permissions)
    return factory


def _want_password(server: GstRtspServer.RTSPServer, user: str, password: str) -> None:
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)


if __name__ == "__main__":
    main()
