"""The clients that a plan is made for: drawn, always the same, or read from a list."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, NamedTuple

from agent.drawing import drawn, ports
from compiler.move_counts import Clients

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from compiler.pickers import Family

#: What a list may hold: bytes.
LIMIT = 512 * 1024 * 1024

_SOCKET_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_MAPPED = b"\0" * 10 + b"\xff" * 2


__all__ = ["LIMIT", "Listed", "drawn", "listed"]


class Listed(NamedTuple):
    """The clients of a list, and how many of it are of another address family than those that were asked for."""

    sample: dict[Family, Clients]
    others: int


def listed(path: Path, families: Sequence[Family]) -> Listed:
    """The addresses that a file holds, one a line; ports are drawn. Empty lines and what follows a # do not count.

    Raises ValueError that says which line, what was given and what is allowed; OSError.
    """
    with path.open("rb") as file:
        data = file.read(LIMIT + 1)
    if len(data) > LIMIT:
        raise ValueError(f"the list is longer than {LIMIT >> 20} MiB; give a part of it")
    found: dict[int, list[bytes]] = {4: [], 6: []}
    for number, line in enumerate(data.split(b"\n"), 1):
        text = line.partition(b"#")[0].strip()
        if text:
            address = _packed(text)
            if address is None:
                raise ValueError(f"line {number}: {text.decode(errors='backslashreplace')!r} given; an IPv4 or IPv6 address is needed")
            found[4 if len(address) == 4 else 6].append(address)
    all_ports = ports(sum(len(found[family]) for family in families))
    sample: dict[Family, Clients] = {}
    for family in families:
        if found[family]:
            count = len(found[family])
            sample[family] = Clients(b"".join(found[family]), all_ports[:count])
            all_ports = all_ports[count:]
    return Listed(sample, sum(len(addresses) for family, addresses in found.items() if family not in families))


def _packed(text: bytes) -> bytes | None:
    """4 or 16 bytes; an IPv4 address that is written as IPv6 is the IPv4 address. None where it is no address."""
    family = 6 if b":" in text else 4
    try:
        packed = socket.inet_pton(_SOCKET_FAMILIES[family], text.decode("ascii"))
    except (OSError, ValueError):
        return None
    return packed[12:] if packed.startswith(_MAPPED) and family == 6 else packed
