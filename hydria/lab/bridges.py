"""The lab's networks: a bridge for each, in the hypervisor's namespace, and cables from there to machines."""

from __future__ import annotations

import errno
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from agent.processes import ENVIRONMENT
from hydria.lab.namespaces import inside, set_sysctl

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


#: `IFF_UP`, `IFF_NOARP` of netdevice(7).
_UP, _NO_ARP = 0x1, 0x80


def bridge(hypervisor: Path, name: str) -> None:
    """A network; the hypervisor can be on it."""
    with _links(hypervisor) as links:
        # What it would learn of groups, it would have to learn first: neighbours are asked for by IPv6 multicast.
        links.link("add", ifname=name, kind="bridge", br_mcast_snooping=0)
        [made] = links.get_links(ifname=name)
        # An address that was given to it stays; else it would have another one with each cable, and machines would go on speaking to the old one.
        links.link("set", index=made["index"], address=made.get_attr("IFLA_ADDRESS"), state="up")


def cable(hypervisor: Path, bridge_name: str, port: str, machine: Path, *, interface: str, mac: str | None = None) -> None:
    """A cable from the network to a new interface of the machine, as a hypervisor plugs one into a running machine: it is there, and down."""
    with _links(hypervisor) as links, machine.open("rb") as there:
        peer: dict[str, Any] = {"ifname": interface, "net_ns_fd": there.fileno()} | ({} if mac is None else {"address": mac})
        links.link("add", ifname=port, kind="veth", peer=peer)
        links.link("set", index=_index(links, port), master=_index(links, bridge_name), state="up")


def settle(namespace: Path, interface: str, addresses: Sequence[str]) -> None:
    """Has an interface be up, with these addresses (`address/prefix`), which are good at once."""
    with _links(namespace) as links:
        set_sysctl(f"ipv6/conf/{interface}/accept_dad", "0")
        index = _index(links, interface)
        links.link("set", index=index, state="up")
        for each in addresses:
            address, _, prefix = each.partition("/")
            links.addr("add", index=index, address=address, prefixlen=int(prefix))


def lend(hypervisor: Path, port: str, namespace: Path, interface: str) -> None:
    """Has an interface at a cable's end be that of another kernel, which takes frames from there and puts some there: this one's says nothing itself.

    That kernel takes frames as they are on a wire: large ones, which this kernel makes among its own, are cut at `port`.
    """
    with _links(hypervisor) as links:
        links.link("set", index=_index(links, port), gso_max_segs=1)
    with _links(namespace) as links:
        set_sysctl(f"ipv6/conf/{interface}/disable_ipv6", "1")
        links.link("set", index=_index(links, interface), flags=_UP | _NO_ARP, change=_UP | _NO_ARP)


def lead_out(namespace: Path, interface: str, gateways: Sequence[str]) -> None:
    """Has all that is not on a network of the namespace's go to these, one of each family."""
    with _links(namespace) as links:
        for gateway in gateways:
            links.route("add", dst="::/0" if ":" in gateway else "0.0.0.0/0", gateway=gateway, oif=_index(links, interface))


def forward(namespace: Path, *interfaces: str) -> None:
    """Has packets that come in at one of these interfaces, and are for somebody else, go on; of IPv6 those that come in anywhere (ip-sysctl)."""
    with inside(namespace):
        for interface in interfaces:
            set_sysctl(f"ipv4/conf/{interface}/forwarding", "1")
        set_sysctl("ipv6/conf/all/forwarding", "1")


def bring_up_loopback(namespace: Path) -> None:
    """Has the machine reach itself."""
    with _links(namespace) as links:
        links.link("set", index=1, state="up")


def silence(hypervisor: Path, bridge_name: str, port: str, *, silent: bool) -> None:
    """Has a network pass nothing from or to a port, and neither side notice: its interface is up all the time, and has a carrier."""
    with _links(hypervisor) as links:
        links.link("set", index=_index(links, port), master=0 if silent else _index(links, bridge_name))


def pull(hypervisor: Path, port: str, *, out: bool) -> None:
    """Pulls the cable at a port, or puts it back: the machine sees that its interface has no carrier."""
    with _links(hypervisor) as links:
        links.link("set", index=_index(links, port), state="down" if out else "up")


def unplug(hypervisor: Path, port: str) -> None:
    """Removes a port and its cable; an absent one is fine."""
    try:
        with _links(hypervisor) as links:
            for index in links.link_lookup(ifname=port):
                links.link("del", index=index)
    except OSError as error:
        # The kernel removes it, too, with the machine at its other end, and may do so in between.
        if error.errno != errno.ENODEV:
            raise


def release(namespace: Path, mac: str) -> None:
    """Has the interface of this hardware address be down, if there is one."""
    with _links(namespace) as links:
        for each in links.get_links(address=mac):
            links.link("set", index=each["index"], state="down")


def names(namespace: Path) -> set[str]:
    """All interfaces in the namespace."""
    with _links(namespace) as links:
        return {str(one.get_attr("IFLA_IFNAME")) for one in links.get_links()}


def filter_frames(hypervisor: Path, rules: str) -> None:
    """Loads rules for what bridges pass (`nft -f`), all at once. Raises OSError with nft's words."""
    with inside(hypervisor):
        done = subprocess.run(
            ["/usr/bin/env", "nft", "-f", "-"], input=rules, capture_output=True, text=True, check=False, env={**ENVIRONMENT}
        )
    if done.returncode != 0:
        raise OSError(f"nft: {done.stderr.strip()[:1000]}")


def neighbours(namespace: Path) -> dict[str, str]:
    """Address → hardware address, as the namespace knows them now; nothing is asked."""
    with _links(namespace) as links:
        return {
            str(one.get_attr("NDA_DST")): str(one.get_attr("NDA_LLADDR"))
            for one in links.get_neighbours()
            if one.get_attr("NDA_LLADDR") is not None
        }


def addresses(namespace: Path) -> set[str]:
    """All addresses in the namespace."""
    with _links(namespace) as links:
        return {str(one.get_attr("IFA_ADDRESS")) for one in links.get_addr()}


def ports(hypervisor: Path) -> dict[str, tuple[bool, bool]]:
    """Port → whether its cable is in, and whether it passes anything."""
    with _links(hypervisor) as links:
        return {
            str(one.get_attr("IFLA_IFNAME")): (bool(one["flags"] & _UP), bool(one.get_attr("IFLA_MASTER")))
            for one in links.get_links()
            if one.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND") == "veth"
        }


def _index(links: Any, name: str) -> int:
    """Raises OSError where there is no such interface."""
    found: list[int] = links.link_lookup(ifname=name)
    if not found:
        raise FileNotFoundError(f"there is no interface {name}")
    return found[0]


@contextmanager
def _links(namespace: Path) -> Iterator[Any]:
    # It takes a while to be imported, and `--help` needs none of it.
    from pyroute2 import IPRoute  # type: ignore[import-untyped] # noqa: PLC0415
    from pyroute2.netlink.exceptions import NetlinkError  # type: ignore[import-untyped] # noqa: PLC0415

    with inside(namespace):
        try:
            with IPRoute() as links:
                yield links
        except NetlinkError as error:
            raise OSError(error.code, f"netlink: {error}") from error
