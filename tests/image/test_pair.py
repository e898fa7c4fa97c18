"""Two machines of the image on one segment, on user-mode Linux: one has the VIP, and when its power is gone the other has it."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

import pytest
from site_around import VIP, Site
from support.polling import eventually
from support.uml_guests import UmlGuest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.agents import Trust

pytest_plugins = ["image_fixtures"]

pytestmark = pytest.mark.slow

ADDRESSES = {"a": "192.0.2.21", "b": "192.0.2.22"}
PRIORITIES = {"a": 100, "b": 90}


class Pair:
    def __init__(self, site: Site, guests: dict[str, UmlGuest]) -> None:
        self.site, self.guests = site, guests

    def target(self, name: str) -> dict[str, Any]:
        amphorae = [{"id": guest.id, "address": ADDRESSES[each], "priority": PRIORITIES[each]} for each, guest in self.guests.items()]
        return {
            "topology": "ACTIVE_STANDBY",
            "amphora": self.guests[name].id,
            "amphorae": amphorae,
            "vrrp": {"interface": "eth1", "router_id": 17, "advert_interval": 1000},
            "networks": [{"address": VIP, "cidr": "192.0.2.0/24", "gateway": "192.0.2.1"}],
        }

    def put(self, name: str) -> None:
        graph, target = self.site.graph(udp=False, sctp=False), self.target(name)
        self.guests[name].ask(lambda client: client.put_loadbalancer(self.site.lb, graph, self.site.secrets(), target=target))

    def holds(self, name: str) -> bool:
        return f"{VIP}/" in self.guests[name].ip("address show dev eth1")

    def serves(self) -> bool:
        with suppress(OSError):
            return self.site.http() == 200
        return False


@pytest.fixture(scope="module")
def pair(disk: Path, trust: Trust, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with ExitStack() as stack:
        site = Site(stack, trust)
        guests: dict[str, UmlGuest] = {}
        for number, name in enumerate(ADDRESSES):
            address = f"172.16.0.{number + 21}"
            place = tmp_path_factory.mktemp(name)
            guest = UmlGuest(place, disk, trust, f"pair-{name}", cloud=site.cloud, address=address, topology="ACTIVE_STANDBY")
            guests[name] = stack.enter_context(guest)
            guest.wait_for_agent()
            site.plug_vip(guest, f"fa:16:3e:22:{number:02x}:01", ADDRESSES[name])
            site.plug_members(guest, f"fa:16:3e:22:{number:02x}:02", f"10.0.0.2{number + 1}")
        made = Pair(site, guests)
        for name in guests:
            made.put(name)
        yield made


def test_the_vip_moves_when_the_power_of_its_machine_is_gone_and_comes_back(pair: Pair) -> None:
    eventually(lambda: pair.holds("a") and not pair.holds("b"), "the VIP at the first", 180.0)
    eventually(pair.serves, "an answer", 120.0)
    pair.guests["a"].cut_power()
    eventually(lambda: pair.holds("b"), "the VIP at the second", 120.0)
    eventually(pair.serves, "an answer of the second", 120.0)
    pair.guests["a"].power_on()
    pair.guests["a"].wait_for_agent()
    # A master that comes back does not take the VIP from one that has it (Octavia's `nopreempt`), or does, where it was told so; in either case
    # one machine alone has it.
    eventually(lambda: [pair.holds(name) for name in pair.guests].count(True) == 1 and pair.serves(), "one machine with the VIP", 180.0)
