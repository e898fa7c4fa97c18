"""Machines whose power goes, on user-mode Linux and in QEMU: what was there is there again, and a change is one or none."""

from __future__ import annotations

import random
import re
import threading
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import pytest
from site_around import Site
from support.polling import eventually

from agent.errors import AgentError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from image_fixtures import Machines
    from support.agents import Trust
    from support.machines import Machine

pytest_plugins = ["image_fixtures"]

pytestmark = pytest.mark.slow

#: Seconds that a change may take; whoever asks a machine without power waits as long.
_CHANGING = 150.0


class Balancing:
    """A machine with a load balancer."""

    def __init__(self, guest: Machine, site: Site) -> None:
        self.guest, self.site = guest, site

    def put(self, port: int = 80, timeout: float = 600.0) -> None:
        graph = self.site.graph(udp=False, sctp=False, port=port)
        self.guest.ask(lambda client: client.put_loadbalancer(self.site.lb, graph, self.site.secrets()), timeout)

    def status(self, port: int) -> int | None:
        with suppress(OSError):
            return self.site.http(port)
        return None

    def serves(self, port: int = 80) -> None:
        try:
            eventually(lambda: self.status(port) == 200 and self.site.https() == 200, f"answers at port {port} and over TLS", 300.0)
        except (AssertionError, OSError) as error:
            said = self.guest.shell.run("systemctl --failed --no-pager; journalctl -b --no-pager -n 60")
            raise AssertionError(f"{error}\n{said}") from None


@pytest.fixture(scope="module", params=["uml", "qemu"])
def balancing(request: pytest.FixtureRequest, machines: Machines, trust: Trust) -> Iterator[Balancing]:
    """One of each kind, one after the other."""
    with ExitStack() as stack:
        site = Site(stack, trust)
        guest = stack.enter_context(machines.make(request.param, site, "power", 11))
        guest.wait_for_agent()
        site.plug_vip(guest, "fa:16:3e:33:00:01", "192.0.2.20")
        site.plug_members(guest, "fa:16:3e:33:00:02", "10.0.0.20")
        made = Balancing(guest, site)
        made.put()
        made.serves()
        yield made


def test_switched_off_in_order_and_on_again(balancing: Balancing) -> None:
    guest = balancing.guest
    guest.switch_off()
    guest.power_on()
    balancing.serves()
    guest.wait_for_agent()
    guest.wait_until_settled()
    shell = guest.shell
    failed = shell.run("systemctl --failed --no-legend --plain").split("\n")
    # The kernel of user-mode Linux has no nftables for IP; all else is as it should be.
    assert [line for line in failed if line and "hydria" in line] == []
    assert guest.ask(lambda client: client.loadbalancers()) == [balancing.site.lb]


@pytest.mark.parametrize("round_", range(3))
def test_a_power_cut_in_the_middle_of_changes_leaves_an_old_or_a_new_one_whole(balancing: Balancing, round_: int) -> None:
    guest = balancing.guest
    balancing.put()
    balancing.serves()
    begun, acknowledged = [80], [80]

    def change() -> None:
        with suppress(AgentError, OSError):
            for port in range(8000 + round_ * 100, 8100 + round_ * 100):
                begun.append(port)
                balancing.put(port, _CHANGING)
                acknowledged.append(port)

    changing = threading.Thread(target=change, daemon=True)
    changing.start()
    # Anywhere in a change: some have been made, and the next takes its time.
    eventually(lambda: len(acknowledged) > 1, "a change", 300.0)
    time.sleep(random.Random(round_).uniform(0, 3))
    guest.cut_power()
    sent, done = begun[-1], acknowledged[-1]
    guest.power_on()
    guest.wait_for_agent()
    # Its connection is one that the new kernel knows nothing of.
    changing.join(2 * _CHANGING)
    assert not changing.is_alive()
    text = guest.ask(lambda client: client.loadbalancer_graph(balancing.site.lb)).text
    [port] = [int(found) for found in re.findall(rb'"protocol":"HTTP","protocol_port":(\d+)', text.replace(b" ", b""))]
    # What was acknowledged has survived; what was not may have, or not.
    assert port in (sent, done)
    balancing.serves(port)
    assert all(balancing.status(other) is None for other in {80, sent, done} - {port}), "a listener of another generation"
