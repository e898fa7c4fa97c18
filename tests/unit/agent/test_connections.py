"""Counting connections as the kernel lists them: real sockets, and lines of states that are hard to come by."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from agent.network.connections import count

# `/proc/net/tcp` of a little-endian machine.
LINE = "   0: 0A0200C0:0050 320200C0:D431 {state} 00000000:00000000 00:00000000 00000000     0        0 1 1 0000000000000000"


@pytest.mark.parametrize(
    ("state", "counts"),
    [("01", 1), ("02", 0), ("03", 1), ("04", 1), ("05", 0), ("06", 0), ("07", 0), ("08", 1), ("09", 1), ("0A", 0), ("0B", 1)],
)
def test_what_still_has_something_to_say_counts(state: str, counts: int) -> None:
    assert count([LINE.format(state=state)], ["192.0.2.10"]) == counts
    assert count([LINE.format(state=state)], ["192.0.2.11", "2001:db8::a"]) == 0


@pytest.mark.parametrize(("family", "address", "table"), [(socket.AF_INET, "127.0.0.9", "tcp"), (socket.AF_INET6, "::1", "tcp6")])
def test_one_that_nobody_has_accepted_yet_counts(family: socket.AddressFamily, address: str, table: str) -> None:
    def listed() -> int:
        ours = f":{listener.getsockname()[1]:04X}"
        lines = Path("/proc/net", table).read_text(encoding="ascii").splitlines()[1:]
        return count([line for line in lines if line.split()[1].endswith(ours)], [address])

    with socket.create_server((address, 0), family=family) as listener:
        assert listed() == 0
        with socket.create_connection(listener.getsockname()[:2]):
            assert listed() == 1
