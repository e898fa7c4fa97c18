"""How many TCP connections an address has, as the kernel sees them (proc_pid_net(5)): also such as no program has accepted yet."""

from __future__ import annotations

import ipaddress
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from agent.network.namespaces import entered

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_TABLES = ("tcp", "tcp6")

#: States in which something is still to come from this side (linux/tcp_states.h): established, half open, closing with data that nobody has
#: acknowledged, closed by the other side alone. Not those in which only the other side has something to say.
_STATES = {"01", "03", "04", "08", "09", "0B"}


def connections(namespace: str, addresses: Sequence[str]) -> int:
    """Those at these addresses in a network namespace. Raises NotFoundError, SystemFault, OSError."""
    with entered(namespace):
        texts = [Path("/proc/thread-self/net", table).read_text(encoding="ascii") for table in _TABLES]
    return count((line for text in texts for line in text.splitlines()[1:]), addresses)


def count(lines: Iterable[str], addresses: Sequence[str]) -> int:
    """Of the kernel's lines those that are connections at these addresses."""
    wanted = {form for address in addresses for form in _forms(address)}
    found = (line.split(None, 4) for line in lines)
    return sum(words[3] in _STATES and words[1].partition(":")[0] in wanted for words in found if len(words) > 3)


def _forms(address: str) -> tuple[str, ...]:
    """How the kernel writes it: words of 32 bits, each in its own order of bytes; IPv4 within an IPv6 socket, too."""
    packed = ipaddress.ip_address(address).packed
    if len(packed) == 16:
        return (_hexadecimal(packed),)
    return _hexadecimal(packed), _hexadecimal(bytes(10) + b"\xff\xff" + packed)


def _hexadecimal(packed: bytes) -> str:
    words = (int.from_bytes(packed[place : place + 4], "big") for place in range(0, len(packed), 4))
    return "".join(word.to_bytes(4, sys.byteorder).hex().upper() for word in words)
