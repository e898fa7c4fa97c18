"""`hydria lab octavia`: Octavia's own control plane and command line, and real traffic; the short form."""

from __future__ import annotations

from octavia_cloud import octavia_lab
from support.labs import left_of
from support.polling import eventually

VIP = "192.0.2.10"


def test_a_load_balancer_of_the_command_line_serves() -> None:
    with octavia_lab("short", members=2) as user:
        made = user.loadbalancer("create", "--name", "lb", "--vip-subnet-id", "public-subnet", "--vip-address", VIP)
        assert (made["vip_address"], made["provisioning_status"]) == (VIP, "PENDING_CREATE")
        user.active(made["id"])
        assert [one["role"] for one in user.amphorae(loadbalancer_id=made["id"])] == ["STANDALONE"]
        pool = ("--default-pool", "servers")
        user.loadbalancer(
            "pool", "create", "--name", "servers", "--protocol", "HTTP", "--lb-algorithm", "ROUND_ROBIN", "--loadbalancer", "lb"
        )
        user.active(made["id"])
        user.loadbalancer("listener", "create", "--name", "web", "--protocol", "HTTP", "--protocol-port", "80", *pool, "lb")
        user.active(made["id"])
        assert user.get(VIP).status == 503
        member = ("--subnet-id", "private-subnet", "--protocol-port", "80", "servers")
        user.loadbalancer("member", "create", "--name", "one", "--address", user.lab.octavia.places["member-2"][0], *member)
        user.active(made["id"])
        assert user.answers(VIP) == "member-2"
        # What the health manager has been told by the amphora.
        eventually(
            lambda: user.loadbalancer("status", "show", "lb")["loadbalancer"]["listeners"][0]["operating_status"] == "ONLINE",
            "a listener that is ONLINE",
            90,
        )
        name = user.lab.name
    assert left_of(name) == []
