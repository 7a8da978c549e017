"""A real network for tests, which can be cut and can lose packets: namespaces of the kernel, joined by veth pairs.

    here  ---  router  ---  inside

Packets are dropped in the router, as on a bad line: no sender is told, and nothing is reset. The firewall of this
machine is left as it is. It needs root, `ip` and `iptables`.
"""

from __future__ import annotations

import functools
import ipaddress
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import pytest

_RANGE = ipaddress.ip_network("198.18.0.0/15")  # for tests of networks (RFC 2544): nothing real has these addresses
_ADDRESSES = 8  # of one network: four for each of its two links
_NETWORKS = _RANGE.num_addresses // _ADDRESSES
_ATTEMPTS = 20
# Each folder becomes an empty one for the command, and stays what it is for all others.
_HIDE = 'until [ "$1" = -- ]; do mount -t tmpfs -o ro none "$1" || exit 1; shift; done; shift; exec "$@"'


class Network:
    """A network with one host inside, for the context.

    Attributes
    ----------
    inside : address of that host, which servers inside bind
    outside : address of this machine towards it, which servers for that host bind
    """

    def __enter__(self) -> Network:
        self._name = _new_namespace()
        self._router = f"{self._name}r"
        number = int(self._name.removeprefix(_PREFIX))
        here, near, far, inside = (str(_RANGE[number * _ADDRESSES + host]) for host in (1, 2, 5, 6))
        self.outside, self.inside = here, inside
        try:
            _run("ip", "netns", "add", self._router)
            _run("ip", "link", "add", self._name, "type", "veth", "peer", "name", "near", "netns", self._router)
            _run("ip", "-n", self._router, "link", "add", "far", "type", "veth", "peer", "name", "eth0",
                 "netns", self._name)  # fmt: skip
            _set_up(None, self._name, here)
            _set_up(self._router, "near", near)
            _set_up(self._router, "far", far)
            _set_up(self._name, "eth0", inside)
            _run("ip", "-n", self._name, "link", "set", "lo", "up")
            _run("ip", "-n", self._name, "route", "add", "default", "via", far)
            _run("ip", "route", "add", f"{_RANGE[number * _ADDRESSES + 4]}/30", "via", near)
            _run("ip", "netns", "exec", self._router, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._remove()

    def _remove(self) -> None:
        """Kill what still runs inside, and remove all that `__enter__` made."""
        self.kill()
        for words in (
            ("ip", "link", "del", self._name),
            ("ip", "netns", "del", self._router),
            ("ip", "netns", "del", self._name),
        ):
            subprocess.run(words, capture_output=True, check=False)  # some are not there if `__enter__` failed

    def command(self, words: Sequence[str], *, hidden: Sequence[Path] = ()) -> list[str]:
        """Return the command line that runs `words` inside, under the process id of what is started.

        Parameters
        ----------
        hidden : folders that are empty for this command
        """
        inside = ["ip", "netns", "exec", self._name]
        if not hidden:
            return [*inside, *words]
        return [*inside, "unshare", "--mount", "sh", "-c", _HIDE, "sh", *map(str, hidden), "--", *words]

    def processes(self) -> list[int]:
        """Return the ids of the processes inside."""
        found = subprocess.run(("ip", "netns", "pids", self._name), capture_output=True, text=True, check=False)
        return [int(line) for line in found.stdout.split()]

    def kill(self) -> None:
        """Kill all processes inside at once, as when a machine loses its power."""
        for process in self.processes():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def cut(self) -> None:
        """Drop all packets from now on, both ways."""
        self._iptables("-P", "FORWARD", "DROP")

    def heal(self) -> None:
        """Carry packets again."""
        self._iptables("-P", "FORWARD", "ACCEPT")

    def lose(self, share: float) -> None:
        """Drop this share of the packets at random, 0 to 1, either way."""
        self._iptables("-F", "FORWARD")
        if share:
            rule = ("-m", "statistic", "--mode", "random", "--probability", str(share), "-j", "DROP")
            self._iptables("-A", "FORWARD", *rule)

    def admit(self, *ports: int) -> None:
        """Let the host inside reach these TCP ports of this machine, and nothing else."""
        allowed = ("-p", "tcp", "-m", "multiport", "--dports", ",".join(map(str, ports)), "-j", "ACCEPT")
        self._iptables("-t", "raw", "-A", "PREROUTING", "-i", "far", *allowed)
        self._iptables("-t", "raw", "-A", "PREROUTING", "-i", "far", "-j", "DROP")

    def _iptables(self, *words: str) -> None:
        _run("ip", "netns", "exec", self._router, "iptables", "-w", *words)


_PREFIX = "sentinel"  # with up to five digits it is the name of an interface too, which has at most 15 characters


def _new_namespace() -> str:
    """Make a namespace, and with it the right to its number's addresses; return its name."""
    for attempt in range(_ATTEMPTS):
        name = f"{_PREFIX}{secrets.randbelow(_NETWORKS)}"
        try:
            _run("ip", "netns", "add", name)
            return name
        except NoNetwork:
            if attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError


def _set_up(namespace: str | None, device: str, address: str) -> None:
    where = ("-n", namespace) if namespace else ()
    _run("ip", *where, "addr", "add", f"{address}/30", "dev", device)
    _run("ip", *where, "link", "set", "dev", device, "up")


class NoNetwork(Exception):
    """A command that makes or changes a network failed."""


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoNetwork(f"{' '.join(words)}: {done.stderr.strip()}")


@functools.cache
def why_no_network() -> str:
    """Return why there can be no `Network` on this machine; empty: there can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "network namespaces need root on Linux"
    missing = [name for name in ("ip", "iptables", "unshare") if shutil.which(name) is None]
    if missing:
        return f"{', '.join(missing)} not installed: apt-get install iproute2 iptables util-linux"
    try:
        with Network() as network:
            network.lose(0.5)
            network.admit(1)
    except NoNetwork as error:
        return f"this machine makes no network namespaces ({error})"
    return ""


def needs_network() -> pytest.MarkDecorator:
    return pytest.mark.skipif(bool(why_no_network()), reason=why_no_network() or "there is one")
