"""A real MQTT broker for tests: Debian's mosquitto on 127.0.0.1, which asks for a password."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from sentinel.stack.redis_server import free_port

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
NEEDS_MOSQUITTO = pytest.mark.skipif(MOSQUITTO is None, reason="no mosquitto: it is in Debian's package of that name")
USER, PASSWORD = "cam@home", "p:ss"


class Broker:
    """A mosquitto; unless it `keeps` sessions on disk, it forgets everything when it is stopped."""

    def __init__(
        self, folder: Path, *, keeps: bool = False, options: Sequence[str] = (), listener: Sequence[str] = ()
    ) -> None:
        self.port = free_port()
        self.url = f"mqtt://cam%40home:p%3Ass@127.0.0.1:{self.port}"
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        passwords = folder / "passwords"
        subprocess.run(["mosquitto_passwd", "-c", "-b", str(passwords), USER, PASSWORD], check=True)
        passwords.chmod(0o644)
        lines = [
            f"listener {self.port} 127.0.0.1",
            *listener,
            "allow_anonymous false",
            f"password_file {passwords}",
            "user root",
            *(["persistence true", f"persistence_location {folder}/"] if keeps else []),
            *options,
        ]
        (folder / "conf").write_text("\n".join([*lines, ""]))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen([str(MOSQUITTO), "-c", str(self._folder / "conf")], stdout=log, stderr=log)

    def stop(self) -> None:
        """Kill it."""
        self._end(subprocess.Popen.kill)

    def end(self) -> None:
        """Let it write down what it keeps."""
        self._end(subprocess.Popen.terminate)

    def restart(self) -> None:
        self.end()
        self.start()

    def _end(self, how: object) -> None:
        if self._process is not None:
            how(self._process)  # type: ignore[operator]
            self._process.wait()
            self._process = None
