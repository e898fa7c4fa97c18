"""Who sees to the members of a lab and receives its heartbeats: `python -m hydria.lab.attendant DIRECTORY`, in the members' network.

It answers at `attendant.sock` (see `hydria.lab.calls`): members fail and come back as they are told to, and the last beat of each amphora,
once its signature is found to be right, can be had.
"""

from __future__ import annotations

import itertools
import socket
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from hydria.lab import namespaces
from hydria.lab.backends import HttpBackend
from hydria.lab.beats import Beats
from hydria.lab.calls import serve
from hydria.lab.certificates import Authority
from hydria.lab.datagrams import DatagramBackend
from hydria.lab.record import AUTHORITY, AUTHORITY_KEY, HEARTBEAT_KEY, PLAN
from hydria.lab.topology import CONTROLLER, HEARTBEATS, Backend, Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SOCKET = "attendant.sock"


class Attendant:
    """Members, which may be several servers of one name, and the beats of amphorae, if they come here. To be made in the members' network."""

    def __init__(self, backends: Sequence[Backend], authority: Authority, beats: Beats | None = None) -> None:
        self._backends: dict[str, list[HttpBackend | DatagramBackend]] = {}
        for one in backends:
            self._backends.setdefault(one.name, []).append(_backend(one, authority))
        self._verbs: dict[str, Callable[..., dict[str, Any]]] = {
            "refuse": lambda names: self._each(names, lambda one: one.refuse()),
            "accept": lambda names: self._each(names, lambda one: one.accept()),
            "answer": self._answer_with,
            "members": self._members,
        }
        if beats is not None:
            self._verbs["beats"] = lambda: {"beats": beats.last(), "wrong": beats.wrong}

    def serve(self, place: Path) -> NoReturn:
        """Answers at a socket, for ever."""
        serve(place, self._verbs)

    def _each(self, names: list[str], act: Callable[[HttpBackend | DatagramBackend], None]) -> dict[str, Any]:
        for backend in itertools.chain.from_iterable(self._backends[name] for name in names):
            act(backend)
        return {}

    def _answer_with(self, names: list[str], path: str, status: int) -> dict[str, Any]:
        for backend in itertools.chain.from_iterable(self._backends[name] for name in names):
            if isinstance(backend, HttpBackend):
                backend.statuses[path] = status
        return {}

    def _members(self) -> dict[str, Any]:
        """Member → whether it takes connections, and how many requests it has answered, checks aside."""
        return {
            "members": {
                name: [all(one.accepts for one in servers), sum(one.answered for one in servers)]
                for name, servers in self._backends.items()
            }
        }


def _backend(one: Backend, authority: Authority) -> HttpBackend | DatagramBackend:
    if one.udp:
        return DatagramBackend(one.name, address=one.address, port=one.port)
    tls = authority.server(one.name, one.address).server_context() if one.tls else None
    backend = HttpBackend(one.name, address=one.address, port=one.port, tls=tls)
    backend.statuses.update(one.statuses)
    backend.checked_at = one.check
    return backend


def main(directory: Path) -> NoReturn:
    """Goes on until it is killed, as everything in a lab does."""
    plan = msgspec.json.decode((directory / PLAN).read_bytes(), type=Plan)
    # Heartbeats go to the hypervisor, whose network is that of the first process.
    with namespaces.inside(namespaces.of_machine(1)):
        receiving = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        receiving.bind((CONTROLLER, HEARTBEATS))
    beats = Beats(receiving, (directory / HEARTBEAT_KEY).read_text(), time.time)
    threading.Thread(target=beats.receive, name="beats", daemon=True).start()
    authority = Authority.read((directory / AUTHORITY).read_bytes(), (directory / AUTHORITY_KEY).read_bytes())
    Attendant(plan.backends, authority, beats).serve(directory / SOCKET)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
