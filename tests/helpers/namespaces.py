"""Hosts in network namespaces of this machine, each with an address and a link to cut."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any


class Network:
    """Hosts that are joined by a bridge; the first has the address ending in 1, and so on.

    Parameters
    ----------
    names : sequence of str
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self._hosts = {name: f"cnn{os.getpid()}{name}" for name in names}
        self.addresses = {name: f"10.197.83.{place}" for place, name in enumerate(names, 1)}
        self._switch = f"cnn{os.getpid()}switch"

    def build(self) -> None:
        """Make the namespaces, the bridge and the links."""
        _ip("netns", "add", self._switch)
        _ip("-n", self._switch, "link", "add", "bridge", "type", "bridge")
        _ip("-n", self._switch, "link", "set", "bridge", "up")
        for name, host in self._hosts.items():
            _ip("netns", "add", host)
            peer = ("peer", "name", name, "netns", self._switch)
            _ip("-n", host, "link", "add", "wire", "type", "veth", *peer)
            _ip("-n", host, "address", "add", f"{self.addresses[name]}/24", "dev", "wire")
            for link in ("lo", "wire"):
                _ip("-n", host, "link", "set", link, "up")
            _ip("-n", self._switch, "link", "set", name, "master", "bridge", "up")

    def remove(self) -> None:
        """Remove all of it."""
        for host in (*self._hosts.values(), self._switch):
            subprocess.run(["ip", "netns", "delete", host], capture_output=True, check=False)

    def set_link(self, name: str, state: str) -> None:
        """Cut the link of a host ("down"), or mend it ("up")."""
        _ip("-n", self._switch, "link", "set", name, state)

    def python(self, name: str, *words: str, **how: Any) -> subprocess.Popen[str]:
        """Start Python on a host."""
        command = ["ip", "netns", "exec", self._hosts[name], sys.executable, *words]
        return subprocess.Popen(command, text=True, **how)


@contextlib.contextmanager
def network(*names: str) -> Iterator[Network]:
    """Yield hosts.

    Raises
    ------
    PermissionError
        Where this user may not make them.
    FileNotFoundError
        Without iproute2.
    """
    made = Network(names)
    try:
        made.build()
        yield made
    finally:
        made.remove()


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise PermissionError(f"ip {' '.join(words)}: {done.stderr.strip()}")
