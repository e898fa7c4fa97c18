"""`Network`: the amphora's interfaces, as the routes of the 1.0 contract ask for them."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from agent.clock import Clock, wait_until
from agent.errors import AgentError, ConflictError, InterfaceNotReady, InvalidRequest, NotFoundError, SystemFault
from agent.network import dhcp, namespaces, packet_filter
from agent.network.announcing import announce
from agent.network.interfaces import VIP_INTERFACE, Interface, InterfaceFiles
from agent.network.kernel import Kernel, Link
from agent.network.reconciling import begin, is_ours, reconcile
from agent.network.requests import NetworkPlug, Rule, Vip, VipPlug
from agent.network.status import InterfaceStatus, status_of
from agent.network.words import Address, Mac
from agent.paths import Paths
from agent.processes import Runner

#: Has the kernel look for hardware that was plugged while it did not listen.
PCI_RESCAN = Path("/sys/bus/pci/rescan")

#: Seconds that an interface may take to appear after that, before who asked is told to ask again.
_ARRIVAL = 2.0

#: Settings below /proc/sys/net in the namespace, where they exist. HAProxy listens on a VIP that keepalived has not given to this machine
#: yet; LVS forwards; removing an address must not take those along that the kernel regards as secondary ones of the same subnet; HAProxy,
#: as nobody, has members pinged.
_SETTINGS = {
    "ipv4/ip_forward": "1",
    "ipv6/conf/all/forwarding": "1",
    "ipv4/ip_nonlocal_bind": "1",
    "ipv4/ping_group_range": "0 2147483647",
    "ipv6/ip_nonlocal_bind": "1",
    "ipv4/conf/all/promote_secondaries": "1",
    "ipv4/conf/default/promote_secondaries": "1",
    "ipv4/vs/conntrack": "1",
    "ipv4/vs/expire_nodest_conn": "1",
    "ipv4/vs/expire_quiescent_template": "1",
}


class Network:
    """The network in `namespace`. Interfaces come from the namespace that the calling thread is in.

    May be called from several threads: changes are made one at a time. All methods raise SystemFault where the machine fails.
    """

    def __init__(self, namespace: str, paths: Paths, runner: Runner, clock: Clock, *, pci_rescan: Path = PCI_RESCAN) -> None:
        self.namespace = namespace
        self._files = InterfaceFiles(paths.interfaces)
        self._paths = paths
        self._runner = runner
        self._clock = clock
        self._pci_rescan = pci_rescan
        self._lock = threading.RLock()

    def prepare(self) -> None:
        """Makes the namespace, where there is none, and sets it up."""
        with self._lock:
            namespaces.create(self.namespace, self._runner)
            problems: list[str] = []
            with namespaces.entered(self.namespace):
                for setting, value in _SETTINGS.items():
                    with _gathered(problems):
                        namespaces.set_sysctl(setting, value)
                with _gathered(problems):
                    namespaces.bring_up_loopback()
            if problems:
                raise SystemFault("; ".join(problems))

    def plug_vip(self, plan: VipPlug, *, active_standby: bool) -> str:
        """Makes an interface the VIP's; what has been done, in words.

        Raises ConflictError when it is in the namespace already, InterfaceNotReady when it is not on this machine (yet).
        """
        with self._lock:
            self.prepare()
            with self._inside() as kernel:
                there = kernel.link_with(plan.mac_address)
                if there is not None:
                    # An attempt that was cut short must not pass for done.
                    with suppress(NotFoundError):
                        self._settle(kernel, self._files.load(there.name))
                    raise ConflictError(f"the interface with the hardware address {plan.mac_address} is in the namespace, as {there.name}")
                taken = kernel.link(VIP_INTERFACE)
                if taken is not None:
                    # The one that is to go may still be there while the one that is to come is not.
                    self._arrived(plan.mac_address)
                    raise SystemFault(f"there is another {VIP_INTERFACE} in the namespace already, with the hardware address {taken.mac}")
                interface = Interface(
                    name=VIP_INTERFACE,
                    mac=plan.mac_address,
                    mtu=plan.mtu,
                    vip=plan.vip,
                    active_standby=active_standby,
                    rules=() if plan.is_sriov else None,
                )
                refused = self._bring_in(kernel, interface)
            vips = ", ".join(vip.ip_address for vip in plan.vip.addresses)
            return _details(f"VIPs plugged on interface {VIP_INTERFACE}: {vips}", refused)

    def plug_network(self, plan: NetworkPlug, *, active_standby: bool) -> str:
        """Brings an interface into the namespace, or gives one that is there other addresses; what has been done, in words.

        The VIP's interface keeps the VIP that it has where the plan says nothing about it. Raises InterfaceNotReady when there is no such
        interface on this machine (yet).
        """
        with self._lock:
            self.prepare()
            with self._inside() as kernel:
                there = kernel.link_with(plan.mac_address)
                if there is None:
                    name = self._name(kernel, plan)
                    refused = self._bring_in(kernel, _planned(Interface(name=name, mac=plan.mac_address), plan, active_standby))
                    return _details(f"Plugged on interface {name}", refused)
                refused = self._update(kernel, there, plan, active_standby)
                return _details(f"Updated existing interface {there.name}", refused)

    def interface_of(self, address: str) -> str:
        """The interface that has an address, or is to have it when keepalived gives it. Raises InvalidRequest, NotFoundError."""
        try:
            wanted = Address.parse(address)
        except ValueError as error:
            raise InvalidRequest(f"address: {error}") from error
        with self._inside() as kernel:
            index = next((found.index for found in kernel.addresses() if found.placed.address == wanted), None)
            name = next((link.name for link in kernel.links() if link.index == index), None)
        if name is not None:
            return name
        for interface in self._files.all()[0]:
            if any(vip.ip_address == wanted for vip in interface.vips):
                return interface.name
        raise NotFoundError(f"no interface has the address {wanted}")

    def counters(self) -> dict[str, tuple[int, int]]:
        """Interface → bytes sent, bytes received; of those whose names begin with eth. None before the namespace is there."""
        return {link.name: (link.sent, link.received) for link in self._links() if link.name.startswith("eth")}

    def set_rules(self, interface: str, rules: Sequence[Rule]) -> None:
        """From now on only what these rules say comes in by an interface. Raises NotFoundError where it is none of ours."""
        with self._lock:
            before = self._files.load(interface)
            self._files.write(msgspec.structs.replace(before, rules=tuple(rules)))
            try:
                self._load_filters()
            except AgentError:
                self._files.write(before)
                raise

    def reconcile(self, interface: str) -> None:
        """Makes an interface what it is to be, once more. Raises NotFoundError where it is none of ours."""
        with self._lock, self._inside() as kernel:
            self._settle(kernel, self._files.load(interface))

    def restore(self) -> None:
        """After a reboot, or the agent's own restart: the namespace, all interfaces in it, and everything as it is to be.

        Does what can be done, and raises SystemFault afterwards with all that could not.
        """
        with self._lock:
            interfaces, unusable = self._files.all()
            problems = list(unusable.values())
            with _gathered(problems):
                self.prepare()
            with self._inside() as kernel:
                with _gathered(problems):
                    self._load_filters()
                # However many are absent, for good perhaps, they are waited for once.
                deadline = self._clock.monotonic() + _ARRIVAL
                for interface in interfaces:
                    if kernel.link_with(interface.mac) is None:
                        with _gathered(problems):
                            self._move(kernel, interface, max(deadline - self._clock.monotonic(), 0.0))
                present = [interface for interface in interfaces if kernel.link_with(interface.mac) is not None]
                for interface in present:
                    # Detection of duplicates takes its time on all interfaces at once.
                    with _gathered(problems):
                        begin(kernel, interface)
                for interface in present:
                    with _gathered(problems):
                        problems += self._settle(kernel, interface)
            if problems:
                raise SystemFault("\n".join(dict.fromkeys(problems)))

    def announce(self) -> None:
        """Tells the neighbours about all addresses that are ours."""
        with self._lock:
            interfaces, _ = self._files.all()
            if not interfaces:
                return
            with self._inside() as kernel:
                unheard = [told for interface in interfaces for told in self._announce(kernel, interface)]
        if unheard:
            raise SystemFault("; ".join(unheard))

    def status(self) -> list[InterfaceStatus]:
        """Every interface of ours: how it is, and in what it is not as it is to be."""
        if not namespaces.exists(self.namespace):
            return [InterfaceStatus(name=name, problem="there is no namespace") for name in self._files.names()]
        with self._inside() as kernel:
            return [status_of(kernel, self._files, name) for name in self._files.names()]

    # --- the parts ---

    def _inside(self) -> Kernel:
        return Kernel(self.namespace)

    def _links(self) -> list[Link]:
        if not namespaces.exists(self.namespace):
            return []
        with self._inside() as kernel:
            return kernel.links()

    def _bring_in(self, kernel: Kernel, interface: Interface) -> list[str]:
        link = self._arrived(interface.mac)
        self._files.write(interface)
        # Rules are in force before the first packet can come in.
        self._load_filters()
        with Kernel(None) as outside:
            outside.move(link, self.namespace, interface.name)
        return self._settle(kernel, interface)

    def _name(self, kernel: Kernel, plan: NetworkPlug) -> str:
        """What an interface that is to come in will be called: as before, where it was here before.

        One that has a file and is absent just now, because it is slow to appear or comes back after a repair, does not lose its name to
        another one; only what is to be the VIP's takes the name that goes with that.
        """
        present = {link.name for link in kernel.links()}
        known = self._files.name_of(plan.mac_address)
        wanted = [*([known] if known else []), *([VIP_INTERFACE] if plan.vip else [])]
        reserved = set(self._files.names())
        fresh = (name for name in map("eth{}".format, itertools.count(2)) if name not in reserved)
        return next(name for name in itertools.chain(wanted, fresh) if name not in present)

    def _update(self, kernel: Kernel, link: Link, plan: NetworkPlug, active_standby: bool) -> list[str]:
        known = link.name in self._files.names()
        before = self._files.load(link.name) if known else Interface(name=link.name, mac=plan.mac_address)
        after = _planned(before, plan, active_standby)
        # Whatever was ours and is not any more; but what keepalived has now is its business.
        kept = {*after.addresses(), *(placed for placed in before.addresses() if placed.address in {vip.ip_address for vip in after.vips})}
        former = tuple(placed for placed in dict.fromkeys((*before.former, *before.addresses())) if placed not in kept)
        after = msgspec.structs.replace(after, former=former)
        self._files.write(after)
        self._load_filters()
        ends = known and before.by_dhcp() and not after.by_dhcp()
        left = dhcp.stop(link.name, self.namespace, self._runner) if ends else []
        return left + self._settle(kernel, after)

    def _settle(self, kernel: Kernel, interface: Interface) -> list[str]:
        """Makes an interface that is in the namespace what it is to be, and tells the neighbours; what was refused."""
        everyones = frozenset(rule for other in self._files.all()[0] for rule in other.source_rules())
        refused = reconcile(kernel, interface, everyones, self._clock)
        if interface.by_dhcp():
            refused += dhcp.start(interface.name, self.namespace, self._runner)
        if interface.former:
            self._files.write(msgspec.structs.replace(interface, former=()))
        return refused + self._announce(kernel, interface)

    def _announce(self, kernel: Kernel, interface: Interface) -> list[str]:
        """Tells the neighbours about an interface's addresses; what could not be told."""
        link = kernel.link_with(interface.mac)
        if link is None or not link.up:
            return []
        unheard = []
        for found in kernel.addresses(link.index):
            if is_ours(found, interface) and not found.tentative and not found.duplicate:
                try:
                    with namespaces.entered(self.namespace):
                        announce(link, found.placed.address)
                except OSError as error:
                    unheard.append(f"{found.placed.address} cannot be announced on {link.name}: {error.strerror}")
        return unheard

    def _arrived(self, mac: Mac, patience: float = _ARRIVAL) -> Link:
        """The interface with this hardware address, out of the namespace; for `patience` seconds it may come."""
        with Kernel(None) as outside:
            if (link := outside.link_with(mac)) is not None:
                return link
            with suppress(OSError):
                self._pci_rescan.write_text("1", encoding="ascii")
            wait_until(lambda: outside.link_with(mac) is not None, patience, self._clock)
            link = outside.link_with(mac)
        if link is None:
            raise InterfaceNotReady(f"No suitable network interface found: none here has the hardware address {mac}")
        return link

    def _move(self, kernel: Kernel, interface: Interface, patience: float) -> None:
        if kernel.link(interface.name) is not None:
            raise SystemFault(f"there is another {interface.name} in the namespace already")
        link = self._arrived(interface.mac, patience)
        with Kernel(None) as outside:
            outside.move(link, self.namespace, interface.name)

    def _load_filters(self) -> None:
        interfaces, unusable = self._files.all()
        # What is known to have had a file, and may have had rules, is shut rather than open.
        shut = [Interface(name=name, mac=Mac(), rules=()) for name in unusable]
        masquerade = packet_filter.masquerade_text(interfaces)
        packet_filter.load(packet_filter.rules_text([*interfaces, *shut]), self._paths.rules, self.namespace, self._runner)
        packet_filter.load(masquerade, self._paths.run / "masquerade.nft", self.namespace, self._runner)


@contextmanager
def _gathered(problems: list[str]) -> Iterator[None]:
    """Errors of ours go to a list, and the work goes on."""
    try:
        yield
    except AgentError as error:
        problems.append(str(error))


def _planned(interface: Interface, plan: NetworkPlug, active_standby: bool) -> Interface:
    return msgspec.structs.replace(
        interface,
        mtu=plan.mtu if plan.mtu is not None else interface.mtu,
        vip=_vip(interface.vip, plan.vip),
        active_standby=active_standby if plan.vip else interface.active_standby,
        fixed_ips=plan.fixed_ips,
        rules=() if plan.is_sriov and interface.rules is None else interface.rules,
    )


def _vip(before: Vip | None, given: Vip | None) -> Vip | None:
    """What the VIP is from now on. Octavia leaves the additional ones out when it plugs a further subnet; there, they are not meant to go."""
    if before is None or given is None or len(given.addresses) > 1 or given.addresses[0].ip_address != before.addresses[0].ip_address:
        return given or before
    return msgspec.structs.replace(given, addresses=(*given.addresses, *before.addresses[1:]))


def _details(done: str, refused: Sequence[str]) -> str:
    return "; ".join([done, *refused])
