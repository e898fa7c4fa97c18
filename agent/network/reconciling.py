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
    link, faults = begin(kernel, interface)
    faults += _await_detection(kernel, link, interface, clock)
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


def begin(kernel: Kernel, interface: Interface) -> tuple[Link, list[str]]:
    """Sets an interface up and gives it its addresses, some of which cannot be used before others have been asked about them.

    Returns it with what failed. Raises SystemFault where there is no such interface in the namespace.
    """
    link = kernel.link_with(interface.mac)
    if link is None:
        raise SystemFault(f"{interface.name}: there is no interface with the hardware address {interface.mac} in {kernel.namespace}")
    if link.name != interface.name:
        raise SystemFault(f"{interface.name}: the interface with the hardware address {interface.mac} is called {link.name}")
    _listen_to_routers(kernel, interface)
    kernel.bring_up(link, interface.mtu)
    before = _present(kernel, link)
    wanted = interface.addresses()
    # An address whose detection failed stays, unusable, until it is given again.
    gone = {placed for placed, found in before.items() if placed in interface.former or (placed in wanted and found.duplicate)}
    faults = _attempt(gone, lambda placed: kernel.remove_address(link, placed))
    left = _present(kernel, link)
    # The VIPs are wherever whoever gives them says; while an amphora is replaced the old one has them, too, and goes before anybody is asked again.
    vips = {vip.ip_address for vip in interface.vips}
    return link, faults + _attempt(
        [placed for placed in wanted if placed not in left],
        lambda placed: kernel.add_address(link, placed, ask=placed.address not in vips),
    )


def is_ours(found: Found, interface: Interface) -> bool:
    """Whether we gave the interface this address, or would have."""
    return found.placed in interface.addresses()


def _listen_to_routers(kernel: Kernel, interface: Interface) -> None:
    with entered(kernel.namespace):
        # 2: although we forward.
        wanted = {"accept_ra": "2", "autoconf": "1"} if interface.by_autoconf() else {"accept_ra": "0", "autoconf": "0"}
        for setting, value in wanted.items():
            set_sysctl(f"ipv6/conf/{interface.name}/{setting}", value)


def _await_detection(kernel: Kernel, link: Link, interface: Interface, clock: Clock) -> list[str]:
    """Waits until it is known of all addresses whether another machine has them; what is wrong with them."""
    wanted = interface.addresses()

    def found() -> list[Found]:
        return [address for placed, address in _present(kernel, link).items() if placed in wanted]

    faults = []
    if not wait_until(lambda: not any(address.tentative for address in found()), _DETECTION, clock):
        faults.append(f"nobody could be asked about some addresses of {link.name} within {_DETECTION:g} s: is it connected?")
    return faults + [
        f"another machine has {address.placed.address}, so {link.name} cannot use it" for address in found() if address.duplicate
    ]


def _present(kernel: Kernel, link: Link) -> dict[Placed, Found]:
    return {found.placed: found for found in kernel.addresses(link.index)}


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
