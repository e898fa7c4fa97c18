"""`Kernel`: what the kernel has in one network namespace, read and changed through netlink (rtnetlink(7)).

What is ours among its routes and rules carries our protocol number; only that is ever shown, added or removed here. Addresses carry
nothing on all kernels, so who asks must know which are ours.

netlink's library is imported when a namespace is looked into: an agent that starts need not wait for it.
"""

from __future__ import annotations

import errno
import socket
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Self

import msgspec

from agent.errors import SystemFault
from agent.network.namespaces import entered, opened
from agent.network.words import Address, Family, Mac, Subnet

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Who made a route or rule, to the kernel (/etc/iproute2/rt_protos); nobody else's. keepalived is 18, "static" is whoever types `ip route`.
PROTOCOL = 72

#: Rules of policy routing come in this order; keepalived's, in Octavia's configurations, have the same place.
_RULE_PRIORITY = 100

#: The routing table that is meant where none is named.
MAIN_TABLE = 254
_UP = 0x1
_TENTATIVE, _DADFAILED, _PERMANENT, _NO_DETECTION = 0x40, 0x08, 0x80, 0x02
_ONLINK = 0x4
_SCOPE_LINK = 253


class Link(msgspec.Struct, frozen=True):
    """An interface. The byte counters are since it came into being."""

    index: int
    name: str
    mac: str
    up: bool
    mtu: int
    sent: int
    received: int


class Placed(msgspec.Struct, frozen=True):
    """An address with the length of its subnet's prefix."""

    address: Address
    prefix: int

    def __str__(self) -> str:
        return f"{self.address}/{self.prefix}"


class Found(msgspec.Struct, frozen=True):
    """An address that an interface (its index) has. `tentative`: nobody knows yet whether another machine has it, too; `duplicate`: one does."""

    index: int
    placed: Placed
    permanent: bool
    tentative: bool
    duplicate: bool


class Route(msgspec.Struct, frozen=True):
    """A route of ours out of an interface: by way of `gateway`, or straight to the neighbours; with `source` unless a socket has its own."""

    destination: Subnet
    gateway: Address | None = None
    source: Address | None = None
    table: int = MAIN_TABLE

    def __str__(self) -> str:
        words = [
            self.destination,
            *(f"via {self.gateway}" for _ in [0] if self.gateway),
            *(f"src {self.source}" for _ in [0] if self.source),
        ]
        return " ".join([*words, *(f"table {self.table}" for _ in [0] if self.table != MAIN_TABLE)])


class SourceRule(msgspec.Struct, frozen=True):
    """A rule of ours: packets from `source` are routed by `table`."""

    source: Address
    table: int

    def __str__(self) -> str:
        return f"from {self.source} table {self.table}"


class Kernel:
    """The network of `namespace`, or with None of the calling thread's own. A context manager, for one thread.

    Whatever the kernel refuses is a SystemFault that says what and why.
    """

    def __init__(self, namespace: str | None) -> None:
        self.namespace = namespace
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        from agent.netlink import IPRoute  # noqa: PLC0415 - see above

        with entered(self.namespace):
            self._netlink = self._stack.enter_context(IPRoute())
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    # --- interfaces ---

    def links(self) -> list[Link]:
        """All interfaces."""
        with _told("the interfaces cannot be read"):
            return [_link(message) for message in self._netlink.get_links()]

    def link(self, name: str) -> Link | None:
        """The interface of this name."""
        return next((link for link in self.links() if link.name == name), None)

    def link_with(self, mac: Mac) -> Link | None:
        """The interface with this hardware address."""
        return next((link for link in self.links() if link.mac == mac), None)

    def move(self, link: Link, namespace: str, name: str) -> None:
        """Moves an interface into another namespace, under a name that is free there, in one step. It is down then, and has no addresses."""
        with opened(namespace) as there, _told(f"{link.name} cannot be moved into {namespace} as {name}"):
            self._netlink.link("set", index=link.index, net_ns_fd=there.fileno(), IFLA_IFNAME=name)

    def bring_up(self, link: Link, mtu: int | None) -> None:
        """Sets an interface up, with this MTU where one is given."""
        wanted: dict[str, Any] = {} if link.up else {"state": "up"}
        if mtu is not None and mtu != link.mtu:
            wanted["mtu"] = mtu
        if wanted:
            with _told(f"{link.name} cannot be set {' '.join(map(str, wanted.values()))}"):
                self._netlink.link("set", index=link.index, **wanted)

    # --- addresses ---

    def addresses(self, index: int | None = None) -> list[Found]:
        """All addresses, or those of one interface."""
        with _told("the addresses cannot be read"):
            found = [_found(message) for message in self._netlink.get_addr()]
        return [address for address in found if index in (None, address.index)]

    def add_address(self, link: Link, placed: Placed, *, ask: bool = True) -> None:
        """Gives an interface an address; with `ask`, others are asked first whether they have it, where IPv6 does that."""
        with _told(f"{link.name} cannot be given {placed}"):
            self._netlink.addr("add", index=link.index, **_placed(placed), **({} if ask else {"flags": _NO_DETECTION}))

    def remove_address(self, link: Link, placed: Placed) -> None:
        """Takes an address from an interface."""
        with _told(f"{placed} cannot be taken from {link.name}", errno.EADDRNOTAVAIL):
            self._netlink.addr("del", index=link.index, **_placed(placed))

    # --- routes and rules ---

    def routes(self, link: Link) -> set[Route]:
        """Our routes out of an interface."""
        with _told("the routes cannot be read"):
            messages = [message for family in _FAMILIES.values() for message in self._netlink.get_routes(family=family)]
        return {_route(message) for message in messages if message["proto"] == PROTOCOL and message.get_attr("RTA_OIF") == link.index}

    def add_route(self, link: Link, route: Route) -> None:
        """Adds a route; where somebody else's to the same destination is there, that stays and this one does not come."""
        with _told(f"the route {route} cannot be added to {link.name}", errno.EEXIST):
            self._netlink.route("add", oif=link.index, **_route_words(route))

    def remove_route(self, link: Link, route: Route) -> None:
        """Removes a route of ours."""
        with _told(f"the route {route} cannot be removed from {link.name}", errno.ESRCH):
            self._netlink.route("del", oif=link.index, **_route_words(route))

    def rules(self) -> set[SourceRule]:
        """Our rules."""
        with _told("the rules cannot be read"):
            messages = [message for family in _FAMILIES.values() for message in self._netlink.get_rules(family=family)]
        return {
            SourceRule(Address.parse(message.get_attr("FRA_SRC")), message.get_attr("FRA_TABLE"))
            for message in messages
            if message.get_attr("FRA_PROTOCOL") == PROTOCOL and message.get_attr("FRA_SRC")
        }

    def add_rule(self, rule: SourceRule) -> None:
        """Adds a rule."""
        with _told(f"the rule {rule} cannot be added", errno.EEXIST):
            self._netlink.rule("add", **_rule_words(rule))

    def remove_rule(self, rule: SourceRule) -> None:
        """Removes a rule of ours."""
        with _told(f"the rule {rule} cannot be removed", errno.ENOENT):
            self._netlink.rule("del", **_rule_words(rule))


_FAMILIES = {4: int(socket.AF_INET), 6: int(socket.AF_INET6)}


@contextmanager
def _told(what: str, *fine: int) -> Iterator[None]:
    from agent.netlink import NetlinkError  # noqa: PLC0415 - see above

    try:
        yield
    except NetlinkError as error:
        if error.code not in fine:
            raise SystemFault(f"{what}: {error.args[1] if len(error.args) > 1 else error}") from error


def _link(message: Any) -> Link:
    statistics = message.get_attr("IFLA_STATS64") or {}
    return Link(
        index=message["index"],
        name=message.get_attr("IFLA_IFNAME"),
        mac=message.get_attr("IFLA_ADDRESS") or "",
        up=bool(message["flags"] & _UP),
        mtu=message.get_attr("IFLA_MTU"),
        sent=statistics.get("tx_bytes", 0),
        received=statistics.get("rx_bytes", 0),
    )


def _found(message: Any) -> Found:
    flags = message.get_attr("IFA_FLAGS")
    # Between the ends of a tunnel IFA_ADDRESS is the other end; where there is an IFA_LOCAL, that is ours.
    address = Address.parse(message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS"))
    return Found(
        index=message["index"],
        placed=Placed(address, message["prefixlen"]),
        permanent=bool(flags & _PERMANENT),
        tentative=bool(flags & _TENTATIVE) and not flags & _DADFAILED,
        duplicate=bool(flags & _DADFAILED),
    )


def _route(message: Any) -> Route:
    version: Family = 6 if message["family"] == socket.AF_INET6 else 4
    destination, gateway, source = (message.get_attr(name) for name in ("RTA_DST", "RTA_GATEWAY", "RTA_PREFSRC"))
    return Route(
        destination=Subnet.parse(f"{destination}/{message['dst_len']}") if destination else Subnet.everything(version),
        gateway=Address.parse(gateway) if gateway else None,
        source=Address.parse(source) if source else None,
        table=message.get_attr("RTA_TABLE"),
    )


def _placed(placed: Placed) -> dict[str, Any]:
    return {"family": _FAMILIES[placed.address.version], "address": str(placed.address), "prefixlen": placed.prefix}


def _route_words(route: Route) -> dict[str, Any]:
    words: dict[str, Any] = {
        "family": _FAMILIES[route.destination.version],
        "dst": str(route.destination),
        "table": route.table,
        "proto": PROTOCOL,
    }
    if route.gateway is not None:
        # The gateway's subnet need not be ours: an amphora's own address may be in another one.
        words |= {"gateway": str(route.gateway), "flags": _ONLINK}
    else:
        words["scope"] = _SCOPE_LINK
    if route.source is not None:
        words["prefsrc"] = str(route.source)
    return words


def _rule_words(rule: SourceRule) -> dict[str, Any]:
    return {
        "family": _FAMILIES[rule.source.version],
        "src": str(rule.source),
        "src_len": rule.source.bits,
        "table": rule.table,
        "priority": _RULE_PRIORITY,
        "protocol": PROTOCOL,
    }
