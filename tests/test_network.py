"""The network that other tests cut and lose packets in."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.network import Network, needs_network
from tests.producers.live import SYSTEM_PYTHON

pytestmark = needs_network()

_PORT = 7000
_ECHO = """
import socket, sys
with socket.create_server((sys.argv[1], int(sys.argv[2]))) as listener:
    print("ready", flush=True)
    peer = listener.accept()[0]
    while data := peer.recv(100):
        peer.sendall(data)
"""
_COUNT = """
import socket, sys
with socket.socket(type=socket.SOCK_DGRAM) as listener:
    listener.bind((sys.argv[1], int(sys.argv[2])))
    print("ready", flush=True)
    count = 0
    while listener.recv(100) != b"end":
        count += 1
    print(count)
"""


@contextmanager
def running(network: Network, code: str) -> Iterator[subprocess.Popen[str]]:
    words = network.command([SYSTEM_PYTHON, "-c", code, network.inside, str(_PORT)])
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def test_a_cut_is_silence_and_what_was_sent_meanwhile_comes_once_it_is_healed() -> None:
    with Network() as network, running(network, _ECHO):
        peer = socket.create_connection((network.inside, _PORT), timeout=5)
        with peer:
            peer.sendall(b"before")
            assert peer.recv(100) == b"before"
            network.cut()
            peer.sendall(b"between")
            peer.settimeout(0.5)
            with pytest.raises(TimeoutError):
                peer.recv(100)
            network.heal()
            peer.settimeout(20)
            assert peer.recv(100) == b"between"


def test_about_as_many_packets_are_lost_as_are_to_be() -> None:
    with Network() as network, running(network, _COUNT) as process:
        network.lose(0.5)
        with socket.socket(type=socket.SOCK_DGRAM) as sender:
            for _ in range(400):
                sender.sendto(b"x", (network.inside, _PORT))
            network.lose(0)
            sender.sendto(b"end", (network.inside, _PORT))
        assert process.stdout is not None
        assert 120 < int(process.stdout.readline()) < 280


def test_the_host_inside_reaches_the_ports_that_it_may_reach_and_no_other() -> None:
    with Network() as network:
        allowed, other = (socket.create_server((network.outside, 0)) for _ in range(2))
        with allowed, other:
            network.admit(allowed.getsockname()[1])
            for listener, answer in ((allowed, "reached\n"), (other, "silence\n")):
                said = subprocess.run(
                    network.command([SYSTEM_PYTHON, "-c", _REACH, *map(str, listener.getsockname())]),
                    capture_output=True, text=True, check=True,
                )  # fmt: skip
                assert said.stdout == answer


_REACH = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=0.5)
    print("reached")
except TimeoutError:
    print("silence")
"""


def test_a_hidden_folder_is_empty_inside_and_whole_outside(tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    (folder / "file").touch()
    with Network() as network:
        seen = subprocess.run(
            network.command(["ls", "-A", str(folder)], hidden=[folder]), capture_output=True, check=True
        )
        assert seen.stdout == b"" and (folder / "file").exists()


def test_nothing_is_left_of_it_and_of_what_ran_inside() -> None:
    def namespaces_and_links() -> list[str]:
        words = (["ip", "netns", "list"], ["ip", "-o", "link"], ["ip", "route"])
        said = [subprocess.run(line, capture_output=True, text=True, check=True).stdout for line in words]
        return [line for text in said for line in text.splitlines() if network.inside in line or network._name in line]

    with Network() as network:
        process = subprocess.Popen(network.command(["sleep", "60"]))
        assert len(namespaces_and_links()) >= 4
    assert process.wait(10) == -9
    deadline = time.monotonic() + 10  # the kernel takes its time
    while namespaces_and_links() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not namespaces_and_links() and not psutil.pid_exists(process.pid)
