"""How interfaces are, beside how they are to be: for people."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import msgspec

from agent.errors import AgentError
from agent.network.interfaces import InterfaceFiles
from agent.network.kernel import Kernel


class InterfaceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How an interface is, and what it lacks of what it is to be (`missing`; `problem`: why that cannot even be told)."""

    name: str
    mac: str | None = None
    up: bool = False
    mtu: int | None = None
    addresses: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    problem: str | None = None


def status_of(kernel: Kernel, files: InterfaceFiles, name: str) -> InterfaceStatus:
    """The status of the interface that this file is about. Raises SystemFault where the kernel does not tell."""
    try:
        interface = files.load(name)
    except AgentError as error:
        return InterfaceStatus(name=name, problem=str(error))
    link = kernel.link_with(interface.mac)
    if link is None:
        return InterfaceStatus(name=name, mac=interface.mac, problem="it is not in the namespace")
    found = kernel.addresses(link.index)
    usable = {address.placed for address in found if not address.duplicate and not address.tentative}
    routes = kernel.routes(link)
    missing: Iterable[object] = itertools.chain(
        (placed for placed in interface.addresses() if placed not in usable),
        (route for route in interface.routes() if route not in routes),
        sorted(map(str, interface.source_rules() - kernel.rules())),
    )
    return InterfaceStatus(
        name=name,
        mac=link.mac,
        up=link.up,
        mtu=link.mtu,
        addresses=tuple(str(address.placed) for address in found),
        missing=tuple(map(str, missing)),
    )
