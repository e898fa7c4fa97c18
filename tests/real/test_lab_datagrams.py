"""Members that speak UDP: they answer, and where they refuse, the kernel says that nobody is there."""

from __future__ import annotations

import json
import socket

import pytest

from hydria.lab.datagrams import DatagramBackend
from hydria.lab.ports import family_of


def ask(backend: DatagramBackend, words: bytes) -> dict[str, str]:
    """Its answer. Raises ConnectionRefusedError where nobody is at the port."""
    with socket.socket(family_of(backend.address), socket.SOCK_DGRAM) as asking:
        asking.settimeout(30)
        asking.connect((backend.address, backend.port))
        asking.send(words)
        answer: dict[str, str] = json.loads(asking.recv(1000))
        return answer


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_it_says_who_it_is_until_it_refuses(address: str) -> None:
    backend = DatagramBackend("member-1", address=address)
    try:
        port = backend.port
        assert ask(backend, b"hello\n") == {"name": "member-1", "peer": address, "said": "hello"}
        assert ask(backend, b"") == {"name": "member-1", "peer": address, "said": ""}
        assert (backend.accepts, backend.answered) == (True, 2)
        backend.refuse()
        backend.refuse()
        with pytest.raises(ConnectionRefusedError):
            ask(backend, b"hello")
        assert not backend.accepts
        backend.accept()
        backend.accept()
        assert backend.port == port
        assert ask(backend, b"again")["said"] == "again"
    finally:
        backend.refuse()
