"""A lab of Octavia's all of whose amphorae have a kernel of their own: a pair that serves HTTP and UDP, fails, is replaced, and leaves nothing."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import pytest
from octavia_cloud import octavia_lab
from support.labs import left_of
from support.polling import eventually

from hydria.lab import bridges, octavia_failing
from hydria.lab.lab import CLIENTS
from hydria.lab.namespaces import inside
from hydria.lab.pid_one import HYPERVISOR

if TYPE_CHECKING:
    from octavia_cloud import User

VIP = "192.0.2.10"
#: Seconds until an amphora that is silent has been replaced by one whose kernel has to start; for what takes a moment.
_REPLACED, _SOON = 300, 90


def asked(user: User) -> str | None:
    """Who answers a datagram; None where nobody does."""
    with inside(user.lab.network(CLIENTS)), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(3)
        asking.connect((VIP, 53))
        try:
            asking.send(b"hello")
            return str(json.loads(asking.recv(1000))["name"])
        except OSError:
            return None


def both(user: User) -> bool:
    """Whether HTTP and UDP are served."""
    return user.answers(VIP) == "member-1" and asked(user) == "member-1"


def by_role(user: User) -> dict[str, str]:
    """Role → id of the amphora that is in use."""
    return {one["role"]: one["id"] for one in user.amphorae(status="ALLOCATED")}


@pytest.mark.slow
def test_a_pair_serves_fails_is_replaced_and_leaves_nothing() -> None:
    with octavia_lab("uml", machines="uml", pair=True, members=1, beats=1, patience=30) as user:
        name = user.lab.name
        made = user.loadbalancer("create", "--name", "lb", "--vip-subnet-id", "public-subnet", "--vip-address", VIP)
        user.active(made["id"])
        for protocol, port, monitor in (("HTTP", "80", "HTTP"), ("UDP", "53", "UDP-CONNECT")):
            listener = ("--name", protocol, "--protocol", protocol, "--protocol-port", port, "lb")
            user.loadbalancer("listener", "create", *listener)
            user.active(made["id"])
            pool = ("--name", f"{protocol}-pool", "--protocol", protocol, "--lb-algorithm", "ROUND_ROBIN", "--listener", protocol)
            user.loadbalancer("pool", "create", *pool)
            user.active(made["id"])
            check = ("--type", monitor, "--delay", "4", "--timeout", "2", "--max-retries", "1", f"{protocol}-pool")
            user.loadbalancer("healthmonitor", "create", *check)
            user.active(made["id"])
            member = ("--subnet-id", "private-subnet", "--address", user.lab.octavia.places["member-1"][0], "--protocol-port", port)
            user.loadbalancer("member", "create", *member, f"{protocol}-pool")
            user.active(made["id"])
        eventually(lambda: both(user), "HTTP and UDP served", _SOON)
        first = by_role(user)
        assert set(first) == {"MASTER", "BACKUP"}

        # Without its HAProxy, which the agent brings back.
        octavia_failing.kill(user.lab, first["MASTER"], "haproxy")
        eventually(lambda: both(user), "HTTP and UDP served again", _SOON)

        # Without the power of the one that serves: the other one does, and Octavia makes another.
        octavia_failing.kill(user.lab, first["MASTER"])
        eventually(lambda: both(user), "HTTP and UDP served by the other one", _SOON)
        eventually(
            lambda: set(by_role(user)) == {"MASTER", "BACKUP"} and first["MASTER"] not in by_role(user).values(), "a new one", _REPLACED
        )
        user.active(made["id"])
        eventually(lambda: both(user), "HTTP and UDP served by the new pair", _SOON)

        user.loadbalancer("delete", "--cascade", "lb")
        eventually(lambda: not user.lab.machines, "no machines", _SOON)
        assert [each for each in bridges.names(user.lab.network(HYPERVISOR)) if each.startswith("tap")] == []
    assert left_of(name) == []
