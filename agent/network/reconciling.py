"""Making one interface what it is to be: only what differs is changed, so doing it again changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from agent.clock import Clock, wait_until
from agent.errors import SystemFault
from agent.network.interfaces import Interface
from agent.network.kernel import Found, Kernel, Link, Placed, SourceRule
from agent.network.namespaces import entered, set_sysctl

#: Seconds for duplicate address detection: one is usual, a link that is only coming up needs more.
_DETECTION = 20.0

T = TypeVar("T")


def reconcile(kernel: Kernel, interface: Interface, rules: frozenset[SourceRule], clock: Clock) -> list[str]:
    """Makes the interface, and all rules of ours, what they are to be; returns what the kernel refused that traffic can do without (routes).

    Raises SystemFault, when everything else is done, with all that is missing: addresses, above all those that another machine has.
    """
    link = kernel.link_with(interface.mac)
    if link is None:
        raise SystemFault(f"{interface.name}: there is no interface with the hardware address {interface.mac} in {kernel.namespace}")
    if link.name != interface.name:
        raise SystemFault(f"{interface.name}: the interface with the hardware address {interface.mac} is called {link.name}")
    _listen_to_routers(kernel, interface)
    kernel.bring_up(link, interface.mtu)
    faults = _reconcile_addresses(kernel, link, interface, clock)
    refused = _change(
        set(interface.routes()),
        kernel.routes(link),
        lambda route: kernel.remove_route(link, route),
        lambda route: kernel.add_route(link, route),
    )
    faults += _change(rules, kernel.rules(), kernel.remove_rule, kernel.add_rule)
    if faults:
        raise SystemFault("; ".join(faults + refused))
    return refused


def is_ours(found: Found, interface: Interface) -> bool:
    """Whether we gave the interface this address, or would have."""
    return found.placed in interface.addresses()


def _listen_to_routers(kernel: Kernel, interface: Interface) -> None:
    with entered(kernel.namespace):
        # 2: although we forward.
        wanted = {"accept_ra": "2", "autoconf": "1"} if interface.by_autoconf() else {"accept_ra": "0", "autoconf": "0"}
        for setting, value in wanted.items():
            set_sysctl(f"ipv6/conf/{interface.name}/{setting}", value)


def _reconcile_addresses(kernel: Kernel, link: Link, interface: Interface, clock: Clock) -> list[str]:
    wanted = interface.addresses()

    def present() -> dict[Placed, Found]:
        return {found.placed: found for found in kernel.addresses(link.index)}

    # An address whose detection failed stays, unusable, until it is given again.
    gone = {placed for placed, found in present().items() if placed in interface.former or (placed in wanted and found.duplicate)}
    faults = _attempt(gone, lambda placed: kernel.remove_address(link, placed))
    before = present()
    faults += _attempt([placed for placed in wanted if placed not in before], lambda placed: kernel.add_address(link, placed))

    def detected() -> bool:
        now = present()
        return not any(now[placed].tentative for placed in wanted if placed in now)

    if not wait_until(detected, _DETECTION, clock):
        faults.append(f"nobody could be asked about some addresses of {link.name} within {_DETECTION:g} s: is it connected?")
    faults += [
        f"another machine has {placed.address}, so {link.name} cannot use it"
        for placed, found in present().items()
        if placed in wanted and found.duplicate
    ]
    return faults


def _change(wanted: Iterable[T], present: Iterable[T], remove: Callable[[T], None], add: Callable[[T], None]) -> list[str]:
    """Removes and adds what it takes to come from one set to the other; what failed."""
    wanted, present = list(wanted), set(present)
    return _attempt(present.difference(wanted), remove) + _attempt([item for item in wanted if item not in present], add)


def _attempt(items: Iterable[T], action: Callable[[T], None]) -> list[str]:
    failed = []
    for item in items:
        try:
            action(item)
        except SystemFault as error:
            failed.append(str(error))
    return failed
