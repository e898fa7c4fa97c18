"""Random targets that a document can be built for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graph_parts import Part, mostly, optional
from hypothesis import strategies as st

from compiler.target import Amphora, Route, Target, Topology, VipNetwork, Vrrp

if TYPE_CHECKING:
    from compiler.target import Version

HAPROXIES: tuple[Version, ...] = ((2, 6, 12), (2, 8, 25), (3, 0), (3, 2, 1))

#: Of each family: the amphorae's own addresses, a network's gateway and next hop, what lies behind these.
_NEAR = {4: ("203.0.113.2", "203.0.113.3"), 6: ("2001:db8::2", "2001:db8::3")}
_GATEWAYS = {4: "203.0.113.1", 6: "2001:db8::1"}
_NETWORKS = {"203.0.113": "203.0.113.0/24", "2001:db8::": "2001:db8::/64", "2001:db8:0:1::": "2001:db8:0:1::/64"}
_FAR = {4: ("198.51.100.0/24", "192.0.2.7/32"), 6: ("2001:db8:ffff::/48", "2001:db8:fffe::7/128")}


@st.composite
def networks(draw: st.DrawFn, vip: str) -> VipNetwork:
    """The subnet of a VIP."""
    family = 6 if ":" in vip else 4
    routes = draw(st.lists(st.sampled_from(_FAR[family]), unique=True))
    return VipNetwork(
        address=vip,
        cidr=_NETWORKS[vip.rpartition(":" if family == 6 else ".")[0] + (":" if family == 6 else "")],
        gateway=draw(optional(st.just(_GATEWAYS[family]))),
        host_routes=tuple(Route(destination=destination, nexthop=_NEAR[family][1]) for destination in routes),
    )


@st.composite
def pairs(draw: st.DrawFn, vips: list[str]) -> Part:
    """The fields of a target that is one of an active-standby pair."""
    near = _NEAR[6 if ":" in draw(st.sampled_from(vips)) else 4]  # keepalived wants a VIP of the peers' family
    amphorae = tuple(
        Amphora(id=f"amphora-{n}.example", address=address, priority=draw(st.integers(1, 254))) for n, address in enumerate(near)
    )
    return {
        "topology": Topology.ACTIVE_STANDBY,
        "amphora": draw(st.sampled_from(amphorae)).id,
        "amphorae": amphorae,
        "vrrp": Vrrp(
            interface="eth1",
            router_id=draw(st.integers(1, 255)),
            advert_interval=10 * draw(st.integers(1, 4095)),
            preempt=draw(st.booleans()),
            garp_refresh=draw(st.integers(0, 3600)),
            garp_refresh_repeat=draw(st.integers(1, 10)),
        ),
        "networks": tuple(draw(networks(vip)) for vip in vips if draw(mostly)),
    }


@st.composite
def targets(draw: st.DrawFn, document: Part) -> Target:
    """A target that can have the document's ports."""
    inside = document["loadbalancer"]
    vips = [inside["vip_address"], *(vip["ip_address"] for vip in inside["additional_vips"])]
    ports = [listener["protocol_port"] for listener in inside["listeners"]]
    return Target(
        haproxy=draw(st.sampled_from(HAPROXIES)),
        keepalived=draw(st.sampled_from([(2, 2, 7), (2, 3, 3)])),
        cpus=draw(st.integers(1, 64)),
        memory=draw(optional(st.integers(1, 2**40))),
        run_directory=draw(st.sampled_from(["/run/hydria", "/tmp/x.y_z:@+-1"])),
        user=draw(st.sampled_from([None, "nobody"])),
        group=draw(st.sampled_from([None, "nogroup"])),
        bind_address=draw(st.sampled_from([None, None, "127.0.0.1", "::1"])),
        port_offset=draw(st.one_of(st.just(0), st.integers(1 - min(ports), 65535 - max(ports)))),
        maxconn=draw(st.integers(1, 2**31 - 1)),
        log=draw(st.sampled_from([None, "/dev/log", "stdout", "127.0.0.1:514", "[::1]:514"])),
        hard_stop_after=draw(st.integers(1, 2_147_483)),
        max_reloads=draw(st.integers(1, 1_000_000)),
        redispatch=draw(st.booleans()),
        check_command="/bin/true",
        **draw(st.one_of(st.just({}), pairs(vips))),
    )
