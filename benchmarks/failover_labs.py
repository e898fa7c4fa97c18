"""Pairs to measure failovers with: a lab each, and keepalived's settings as Hydria's graphs or as Octavia's controller would have them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hydria.lab import bridges, failing, record
from hydria.lab.building import build
from hydria.lab.lab import CLIENTS, Lab
from hydria.lab.topology import Wishes

VIP = "192.0.2.10"
_PATIENCE = 90.0
_BETWEEN = 0.05


@contextmanager
def pair(label: str, advert_interval: int = 100) -> Iterator[Lab]:
    """Two amphorae, one VIP, two members."""
    members = [{"name": f"m{number}", "address": "127.0.0.1", "protocol_port": 8080} for number in range(2)]
    pool = {"name": "servers", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN", "members": members}
    listener = {"name": "web", "protocol": "HTTP", "protocol_port": 80, "default_pool": pool}
    graph = {"loadbalancer": {"name": "failover", "vip_address": VIP, "listeners": [listener]}}
    name = f"b{os.getpid()}-{label}"
    try:
        yield build(name, json.dumps(graph).encode(), Wishes(advert_interval=advert_interval), {}, lambda _: None)
    finally:
        record.end(name)


def as_octavia(lab: Lab) -> None:
    """Has keepalived of both run with the defaults of Octavia's controller: a message a second, a script that looks at HAProxy every five,
    twice (its option group `keepalived_vrrp`), uploaded by the 1.0 contract.
    """
    with lab.driving() as clients:
        for number, one in enumerate(lab.plan.amphorae):
            other = lab.plan.amphorae[1 - number]
            script = lab.directory / one.name / "octavia" / "vrrp" / "check_script.sh"
            clients[one.name].upload_vrrp(_octavia_text(lab, one.address, other.address, script, 100 - 10 * number).encode())
            clients[one.name].reload_vrrp()
    settled(lab)


def _octavia_text(lab: Lab, address: str, peer: str, script: Path, priority: int) -> str:
    subnet = lab.plan.subnets[0]
    return f"""\
vrrp_script look {{
    script {script}
    interval 5
    fall 2
    rise 2
}}

vrrp_instance {lab.plan.lb.replace("-", "")} {{
    interface eth1
    virtual_router_id 1
    priority {priority}
    nopreempt
    accept
    garp_master_refresh 5
    garp_master_refresh_repeat 2
    advert_int 1
    authentication {{
        auth_type PASS
        auth_pass benchmrk
    }}
    unicast_src_ip {address}
    unicast_peer {{
        {peer}
    }}
    virtual_ipaddress {{
        {subnet.vip}
    }}
    virtual_routes {{
        {subnet.cidr} dev eth1 src {subnet.vip} scope link table 1
        default via {subnet.gateway} dev eth1 onlink table 1
    }}
    virtual_rules {{
        from {subnet.vip}/32 table 1 priority 100
    }}
    track_script {{
        look
    }}
}}
"""


def settled(lab: Lab) -> str:
    """Makes all good, and returns the one that has the VIP when the other could take over at once."""
    failing.heal(lab)
    wanted = {"hydria-agent", "haproxy", "keepalived"}
    macs = {one.vip_mac: one.name for one in lab.plan.amphorae}

    def well() -> bool:
        holders = lab.holders()
        running = all(wanted <= {one["name"] for one in lab.processes(amphora.name)} for amphora in lab.plan.amphorae)
        known = macs.get(bridges.neighbours(lab.network(CLIENTS)).get(VIP, ""), holders[0] if holders else "")
        return running and holders == [known]

    wait(well, "one master, and programs that run on both")
    return lab.holders()[0]


def wait(condition: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(f"{what} did not come about")
        time.sleep(_BETWEEN)


def transitions(lab: Lab) -> int:
    """How often keepalived of either became master, by its own words."""
    found = 0
    for one in lab.plan.amphorae:
        log = Path(f"/proc/{lab.first_process(one.name)}/root/run/hydria/programs/octavia-keepalived.log")
        found += log.read_text(errors="replace").count("Entering MASTER STATE")
    return found
