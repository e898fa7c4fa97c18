"""How a backend chooses among its servers, and where a server is: what decides whether either can change while HAProxy runs."""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

from compiler.haproxy_file import Proxy

#: `balance` → it takes weights and servers while it runs; the others are static, unless they hash and do it consistently.
_DYNAMIC = frozenset({"roundrobin", "leastconn", "first", "random"})
_STATIC = frozenset({"static-rr"})
#: Algorithms that know a server by its id.
_BY_ID = frozenset({"first", "random"})


class Balance(NamedTuple):
    """How the backend chooses: `dynamic`, whether servers and weights may change while it does; `by_id`, whether ids decide."""

    name: str
    dynamic: bool
    by_id: bool

    @property
    def ordered_by_id(self) -> bool:
        """Whether ids that follow from the order of the file decide; to choose at random, one order is like another."""
        return self.by_id and self.name != "random"


def balance_of(proxy: Proxy) -> Balance:
    """How a backend chooses (4.2 `balance`, `hash-type`). What is not known is taken for static, which a reload is right for."""
    name = (proxy.setting("balance") or ("roundrobin",))[0].partition("(")[0]
    if name in _DYNAMIC:
        return Balance(name, dynamic=True, by_id=name in _BY_ID)
    if name in _STATIC:
        return Balance(name, dynamic=False, by_id=False)
    consistent = "consistent" in (proxy.setting("hash-type") or ())
    return Balance(name, dynamic=consistent, by_id=consistent)


def ip(text: str) -> str | None:
    """An address in the one way to write it; None for what is none."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


def literal(endpoint: str) -> tuple[str, int] | None:
    """Address and port of `192.0.2.1:80`, `[2001:db8::1]:80` and `2001:db8::1:80`; None for everything else that a server may have."""
    address, colon, port = endpoint.rpartition(":")
    found = ip(address.removeprefix("[").removesuffix("]"))
    return (found, int(port)) if colon and found is not None and re.fullmatch(r"[0-9]{1,5}", port) else None
