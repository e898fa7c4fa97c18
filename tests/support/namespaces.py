"""Network namespaces of a test's own: machines on one machine. They need root, and leave nothing behind."""

from __future__ import annotations

import ctypes
import itertools
import json
import os
import subprocess
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterator

_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)
_NUMBERS = itertools.count()


class Namespace:
    """A namespace with its loopback up, and IPv6 addresses that are good at once."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.name = f"hydria-{os.getpid()}-{next(_NUMBERS)}-{label}"
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        try:
            self.ip("link set lo up")
            for which in ("all", "default"):
                self.sysctl(f"ipv6/conf/{which}/accept_dad", "0")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Removes it; what still runs in it keeps it alive, unnamed."""
        subprocess.run(["ip", "netns", "del", self.name], check=True)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """The calling thread is in the namespace: sockets that it makes, programs and threads that it starts, stay there."""
        with Path("/proc/thread-self/ns/net").open("rb") as before, Path("/run/netns", self.name).open("rb") as there:
            _set_namespace(there.fileno())
            try:
                yield
            finally:
                _set_namespace(before.fileno())

    def run(self, *command: str, stdin: str = "") -> str:
        """Runs a program in it, and returns what it said."""
        with self.entered():
            done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def ip(self, words: str) -> str:
        """`ip …` in it."""
        return self.run("ip", *words.split())

    def ip_json(self, words: str) -> list[dict[str, Any]]:
        """What `ip -j …` shows."""
        shown: list[dict[str, Any]] = json.loads(self.run("ip", "-j", *words.split()) or "[]")
        return shown

    def sysctl(self, path: str, value: str) -> None:
        """Sets /proc/sys/net/`path`."""
        with self.entered():
            Path("/proc/sys/net", path).write_text(value)

    def addresses(self, interface: str) -> set[str]:
        """The addresses that are not link-local, without prefix length."""
        [shown] = self.ip_json(f"address show dev {interface}")
        return {found["local"] for found in shown["addr_info"] if found["scope"] != "link"}

    def mac(self, interface: str) -> str:
        """The hardware address."""
        return str(self.ip_json(f"link show dev {interface}")[0]["address"])


def _set_namespace(descriptor: int) -> None:
    if _LIBC.setns(descriptor, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def join(one: Namespace, its: str, other: Namespace, others: str) -> None:
    """A cable from interface `its` of one to interface `others` of the other."""
    one.ip(f"link add {its} type veth peer name {others} netns {other.name}")
    one.ip(f"link set {its} up")
    other.ip(f"link set {others} up")


@contextmanager
def switched(*labels: str, interface: str = "eth1") -> Iterator[list[Namespace]]:
    """Namespaces that share a network segment."""
    with ExitStack() as stack:
        switch = stack.enter_context(Namespace("switch"))
        switch.ip("link add br0 type bridge")
        switch.ip("link set br0 up")
        found = [stack.enter_context(Namespace(label)) for label in labels]
        for number, namespace in enumerate(found):
            join(switch, f"port{number}", namespace, interface)
            switch.ip(f"link set port{number} master br0")
        yield found
