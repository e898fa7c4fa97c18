"""Where an agent is, as the command line says it."""

from __future__ import annotations

import ipaddress
import re

from agent.settings import Settings

#: Where agents listen unless their settings say otherwise.
PORT = Settings().bind_port

_PLACE = re.compile(r"(\[(?P<six>[^\]]+)\]|(?P<host>[^:\[\]]+))(:(?P<port>\d{1,5}))?", re.ASCII)


def place(text: str) -> tuple[str, int]:
    """Address and port of `ADDRESS[:PORT]`; an IPv6 address with a port needs brackets. Raises ValueError."""
    if _is_ipv6(text):
        return text, PORT
    found = _PLACE.fullmatch(text)
    port = int(found["port"] or PORT) if found else 0
    if not found or not 1 <= port <= 65535 or (found["six"] and not _is_ipv6(found["six"])):
        raise ValueError(
            f"{text!r} given; an address or a name is needed, with a port or without: 192.0.2.5, 192.0.2.5:9443, [2001:db8::5]:9443"
        )
    return found["six"] or found["host"], port


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True
