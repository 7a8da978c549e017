"""`sentinel streams add | test`: live cameras, looked at before they are trusted."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from common.errors import BrokerUnavailable, CameraUnavailable, SettingsError
from common.printable import encodable
from common.settings import Settings, get_settings
from sentinel.cli.console import JsonOption, err, out, print_json
from sentinel.cli.stream_bindings import camera_text, difference, show_edit
from sentinel.cli.stream_names import StreamArgument, stream_name
from sentinel.stack.local import open_store, settings_of_stack

if TYPE_CHECKING:
    from common.sources.cameras import CameraAddress
    from sentinel.cameras import Probe

PictureOption = Annotated[Path | None, typer.Option(help="Write what the camera shows now to this file, as a JPEG.")]


def add(
    stream: StreamArgument,
    url: Annotated[str, typer.Argument(metavar="URL", help="rtsp, rtsps, http or https, without user and password.")],
    user: Annotated[str | None, typer.Option(help="Who asks the camera.")] = None,
    password_env: Annotated[
        str | None, typer.Option(help="Environment variable with the password; of the stack too.")
    ] = None,
    password_file: Annotated[Path | None, typer.Option(help="File with the password on its first line.")] = None,
    sample: Annotated[
        Literal["all", "key"] | None, typer.Option(help="Store and judge all frames, or key frames alone.")
    ] = None,
    picture: PictureOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look at a live camera, write it into sentinel.toml, and say what it costs. A running stack begins to fetch it."""
    from common.sources.cameras import camera_address, check_camera_url
    from sentinel.stream_file import bind

    name, settings = stream_name(stream), settings_of_stack(get_settings())
    try:
        url = check_camera_url(encodable(url))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    path = settings.config_file
    file = str(password_file.expanduser().absolute()) if password_file is not None else None
    edit = bind(path, name, url=url, user=user, password_env=password_env, password_file=file, sample=sample)
    found = _look(name, camera_address(url, user, password_env, file), settings, picture)
    if edit.changes:
        edit.write()
    if as_json:
        print_json(json.dumps({**found.model_dump(), "file": str(path), "changed": edit.changes,
                               "diff": difference(edit)}))  # fmt: skip
        return
    _show(found)
    _show_cost(found, settings, keys_only=sample == "key")
    show_edit(edit)
    out.print(_what_now(name, settings))


def test(stream: StreamArgument, picture: PictureOption = None, as_json: JsonOption = False) -> None:
    """Look at the live camera of a stream step by step, to find what is wrong. Exit 3 if it cannot be had."""
    from common.sources.cameras import camera_address
    from common.stream_config import stream_config

    name, settings = stream_name(stream), settings_of_stack(get_settings())
    table = stream_config(settings).of(name)
    if table.url is None:
        raise SettingsError(f"stream {name!r} has no live camera: `sentinel streams add {name} URL` gives it one")
    address = camera_address(table.url, table.user, table.password_env, table.password_file)
    if not as_json:
        out.print(f"{address.shown}, asked {'as ' + address.user if address.user else 'without user and password'}")
        out.print(f"the process that fetches: {_of_process(name, settings)}")
        _reach(address, settings.camera_seconds)
    found = _look(name, address, settings, picture)
    if as_json:
        print_json(found.to_json())
        return
    _show(found)
    _show_cost(found, settings, keys_only=table.sample == "key")


def _of_process(name: str, settings: Settings) -> str:
    try:
        return camera_text(open_store(settings), settings, name)
    except BrokerUnavailable:
        return "no stack runs"


def _reach(address: CameraAddress, seconds: float) -> None:
    """Connect to the camera's port; raise `CameraUnavailable` with what to look at if that is not possible."""
    where = f"{address.host}, port {address.port}"
    try:
        with socket.create_connection((address.host, address.port), seconds) as reached:
            out.print(f"{where}: answers at {reached.getpeername()[0]}")
    except socket.gaierror as error:
        raise CameraUnavailable(f"{address.host}: no such name is known here ({error.strerror})") from error
    except OSError as error:
        why = error.strerror or "nothing came"
        raise CameraUnavailable(f"{where}: {why}: is it on, is the port right, is a firewall between?") from error


def _look(name: str, address: CameraAddress, settings: Settings, picture: Path | None) -> Probe:
    from sentinel.cameras import probe

    err.print(f"looking at {address.shown} for some seconds")
    found, jpeg = probe(name, address, settings)
    if picture is not None:
        picture.write_bytes(jpeg)
    return found


def _show(found: Probe) -> None:
    keys = f"a key frame every {found.key_seconds:.1f} s" if found.key_seconds else "one key frame"
    out.print(
        f"{found.codec}, {found.width} x {found.height}, {found.fps:.1f} frames per second, {keys}, "
        f"{found.bytes_per_second * 8 / 1e6:.2f} Mbit/s"
    )
    if found.clock_offset is not None:
        out.print(f"its clock differs from ours by {abs(found.clock_offset):.1f} s")


def _show_cost(found: Probe, settings: Settings, *, keys_only: bool) -> None:
    from common.stream_config import stream_config

    cameras = sum(table.url is not None for table in stream_config(settings).streams.values()) or 1
    out.print(
        f"it costs {found.gigabytes_per_day:.1f} GB of network a day; the spool of {settings.spool_mb} MB holds "
        f"{found.spool_hours(settings.spool_mb, cameras):.1f} h of {cameras} such cameras"
    )
    kept = "key frames alone are stored and judged" if keys_only else "all are stored, and judged as sampled"
    out.print(
        f"decoding all its frames takes {found.core_share:.1%} of a core here, its key frames alone "
        f"{found.key_core_share:.1%}; {kept}, which comes on top"
    )


def _what_now(name: str, settings: Settings) -> str:
    from sentinel.stack.info import read_info

    if read_info(settings.state_dir) is None:
        return f"`sentinel up` begins to fetch it; then `sentinel streams show {name}`"
    return f"the running stack fetches it within seconds, and judges or learns it; see `sentinel streams show {name}`"
