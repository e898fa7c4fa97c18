"""Random load balancers, and what random changes make of them: members come, go, weigh, move; now and then something greater happens.

Members' addresses are of nobody (RFC 5737); `lead_nowhere` has checks of them wait for longer than a test takes.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

if TYPE_CHECKING:
    from support.namespaces import Namespace

Part = dict[str, Any]

#: Of members of a pool, at most.
MEMBERS = 8
ALGORITHMS = st.sampled_from(["ROUND_ROBIN", "LEAST_CONNECTIONS", "SOURCE_IP", "SOURCE_IP_PORT"])
CIDRS = st.lists(st.sampled_from(["192.0.2.0/24", "198.51.100.0/24", "127.0.0.1"]), min_size=1)
LIMITS = st.integers(1, 4000)
#: Names of the secrets that a TLS listener may have.
CERTIFICATES = ("one", "renewed", "other")


def lead_nowhere(namespace: Namespace) -> None:
    """What is sent to members is lost without a word."""
    namespace.ip("link add nowhere type veth peer name end")
    for end in ("nowhere", "end"):
        namespace.ip(f"link set {end} up arp off")
    namespace.ip("route add 192.0.2.0/24 dev nowhere")


def identifier(pool: str, number: int) -> str:
    """The id of a member."""
    return f"5eed0000-0000-4000-8000-{len(pool):04x}{number:08x}"


@st.composite
def members(draw: st.DrawFn, pool: str, number: int) -> Part:
    return {
        "id": identifier(pool, number),
        "address": f"192.0.2.{draw(st.integers(1, 3))}",
        "protocol_port": 8000 + number,
        "weight": draw(st.integers(0, 256)),
        "admin_state_up": draw(st.sampled_from([True, True, False])),
        # The first backup of a pool, and the end of the last one, is a reload.
        "backup": draw(st.integers(0, 15)) == 15,
    }


@st.composite
def pools(draw: st.DrawFn, name: str = "pool", protocol: str = "HTTP") -> Part:
    numbers = draw(st.sets(st.integers(0, MEMBERS - 1), max_size=4))
    pool: Part = {
        "name": name,
        "protocol": protocol,
        "lb_algorithm": draw(ALGORITHMS),
        "members": [draw(members(name, number)) for number in sorted(numbers)],
    }
    if draw(st.booleans()):
        kinds = ["SOURCE_IP"] if protocol == "TCP" else ["HTTP_COOKIE", "SOURCE_IP"]
        pool["session_persistence"] = {"type": draw(st.sampled_from(kinds))}
    if draw(st.booleans()):
        pool["healthmonitor"] = {"type": "TCP", "delay": 3600, "timeout": 3599, "max_retries": 3, "admin_state_up": draw(st.booleans())}
    return pool


@st.composite
def changed(draw: st.DrawFn, pool: Part) -> Part:
    """The same pool after some changes, most of them of members."""
    other = copy.deepcopy(pool)
    for number in draw(st.lists(st.integers(0, MEMBERS - 1), min_size=1, max_size=4, unique=True)):
        its = identifier(pool["name"], number)
        there = [member for member in other["members"] if member["id"] == its]
        other["members"] = [member for member in other["members"] if member["id"] != its]
        if not there or draw(st.booleans()):
            fresh = draw(members(pool["name"], number))
            kept = {field: there[0][field] for field in ("backup",) if there}
            other["members"].insert(draw(st.integers(0, len(other["members"]))), fresh | kept)
    if "healthmonitor" in other and draw(st.integers(0, 3)) == 0:
        other["healthmonitor"]["admin_state_up"] = not other["healthmonitor"]["admin_state_up"]
    return other


@st.composite
def loadbalancers(draw: st.DrawFn) -> Part:
    """An HTTP listener; perhaps one that terminates TLS before the same pool, and one of TCP."""
    listeners: list[Part] = [
        {
            "name": "web",
            "protocol": "HTTP",
            "protocol_port": 8080,
            "default_pool": {"name": "pool"},
            "connection_limit": draw(LIMITS),
            "allowed_cidrs": draw(CIDRS),
            "timeout_client_data": draw(st.sampled_from([50_000, 60_000])),
        }
    ]
    made = [draw(pools())]
    if draw(st.booleans()):
        certificate = draw(st.sampled_from(CERTIFICATES))
        tls: Part = {"name": "tls", "protocol": "TERMINATED_HTTPS", "protocol_port": 8443, "default_pool": {"name": "pool"}}
        listeners.append(tls | {"connection_limit": 500, "default_tls_container_ref": certificate})
    if draw(st.booleans()):
        listeners.append(
            {"name": "tcp", "protocol": "TCP", "protocol_port": 9000, "connection_limit": 500, "default_pool": {"name": "raw"}}
        )
        made.append(draw(pools("raw", "TCP")))
    return {"name": "lb", "vip_address": "127.0.0.1", "listeners": listeners, "pools": made}


@st.composite
def changed_loadbalancers(draw: st.DrawFn, before: Part) -> Part:
    """The same load balancer after changes: of members always, of listeners often, of whole pools sometimes."""
    other = copy.deepcopy(before)
    other["pools"] = [draw(changed(pool)) for pool in other["pools"]]
    web = other["listeners"][0]
    web |= {"connection_limit": draw(LIMITS), "allowed_cidrs": draw(CIDRS)}
    for listener in other["listeners"][1:]:
        if "default_tls_container_ref" in listener:
            listener["default_tls_container_ref"] = draw(st.sampled_from(CERTIFICATES))
    greater = draw(st.integers(0, 15))
    if greater == 15:
        web["protocol_port"] = 8081
    elif greater == 14:
        return draw(loadbalancers())
    elif greater == 13:
        web["l7policies"] = [{"action": "REJECT", "rules": [{"type": "PATH", "compare_type": "STARTS_WITH", "value": "/private"}]}]
    return other
