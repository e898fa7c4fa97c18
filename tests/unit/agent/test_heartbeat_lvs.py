"""UDP and SCTP listeners in heartbeats: who is who from keepalived's configuration, how they are from what the kernel prints."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent.errors import SystemFault
from agent.heartbeat.counters import Counts, Ledger
from agent.heartbeat.ipvs import RealServer, Service, parse_table
from agent.heartbeat.lvs import LvsLook, pool_state
from agent.heartbeat.lvs_conf import Place, parse
from agent.heartbeat.message import ListenerState, PoolState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.heartbeat.ipvs import Table

LISTENER, POOL = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
A, B, C, D = (f"{letter * 8}-aaaa-4aaa-8aaa-aaaaaaaaaaaa" for letter in "abcd")

MONITOR = """
        MISC_CHECK {
            misc_path "/var/lib/octavia/lvs/check/udp_check.sh 10.97.1.2 9000"
            misc_timeout 3
        }"""

CONF = """# Configuration for Loadbalancer 33333333-3333-4333-8333-333333333333
# Configuration for Listener {listener}

net_namespace amphora-haproxy

virtual_server_group ipv4-group {{
    198.51.100.1 5000
    198.51.100.2 5000
}}

virtual_server group ipv4-group {{
    lb_algo wrr
    lb_kind NAT
    protocol UDP

    # Configuration for Pool {pool}
    # Configuration for HealthMonitor 44444444-4444-4444-8444-444444444444
    # Configuration for Member {a}
    real_server 198.51.100.7 9000 {{
        weight 3{monitor}
    }}

    # Configuration for Member {b}
    real_server 198.51.100.7 9001 {{
        weight 0{monitor}
    }}

    # Member {c} is disabled
}}

virtual_server_group ipv6-group {{
    2001:db8::1 5000
}}

virtual_server group ipv6-group {{
    protocol UDP
    # Configuration for Pool {pool}
    # Configuration for Member {d}
    real_server 2001:db8::7 9000 {{
        weight 1{monitor}
    }}
}}
"""

#: What Linux prints, with connections added.
KERNEL = (Path(__file__).parents[2] / "vectors" / "ip_vs.txt").read_text()


def place(address: str, port: int) -> Place:
    return Place(socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address), port)


def conf(monitor: str = MONITOR) -> str:
    return CONF.format(listener=LISTENER, pool=POOL, a=A, b=B, c=C, d=D, monitor=monitor)


def test_octavia_s_configuration_is_understood() -> None:
    read = parse(conf())
    assert (read.disabled, read.protocol, read.pool, read.monitored) == (False, "UDP", POOL, True)
    assert read.virtual == (place("198.51.100.1", 5000), place("198.51.100.2", 5000), place("2001:db8::1", 5000))
    assert read.members == {
        A: place("198.51.100.7", 9000),
        B: place("198.51.100.7", 9001),
        C: None,
        D: place("2001:db8::7", 9000),
    }
    assert not parse(conf(monitor="")).monitored


def test_hydria_s_configuration_is_understood() -> None:
    golden = Path(__file__).parents[2] / "golden" / "udp" / "expected" / "keepalived"
    read = parse((golden / "d502f4f6-055e-5db5-ac9b-204bd3c108f8.conf").read_text())
    assert read.virtual == (place("203.0.113.10", 53), place("2001:db8::10", 53))
    assert read.members == {
        "5424b365-d921-5170-a991-b564e6ecb600": place("192.0.2.1", 53),
        "db5b4208-484c-511d-a1a9-021aca0d6d88": place("192.0.2.2", 53),
        "cc6b7ce3-f9a9-5edb-8f48-b84b811f9780": place("2001:db8:1::1", 53),
        "e12ff536-f8e8-5cf9-9600-c3007dab0b7f": None,
    }
    assert read.pool == "5fd378d1-8ac2-5810-9a07-82cc6e2e3f97"
    assert read.monitored


@pytest.mark.parametrize(
    ("text", "disabled", "pool"),
    [
        (f"# Listener {LISTENER} is disabled\n", True, None),
        (f"# Configuration for Listener {LISTENER}\n# Pool {POOL} is disabled\n", False, None),
    ],
)
def test_what_is_disabled(text: str, disabled: bool, pool: str | None) -> None:
    assert (parse(text).disabled, parse(text).pool) == (disabled, pool)


def test_the_kernel_s_table_is_understood() -> None:
    assert parse_table(KERNEL) == {
        Service("UDP", place("198.51.100.2", 53)): {},
        Service("UDP", place("2001:db8::1", 5000)): {place("2001:db8::7", 9000): RealServer(3, 4)},
        Service("UDP", place("198.51.100.1", 5000)): {
            place("198.51.100.7", 9001): RealServer(0, 0),
            place("198.51.100.7", 9000): RealServer(3, 2),
        },
    }
    assert parse_table("") == {}


HERE = {place("198.51.100.7", 9000): RealServer(3, 0), place("198.51.100.7", 9001): RealServer(0, 0)}


@pytest.mark.parametrize(
    ("monitor", "servers", "settling", "expected"),
    [
        (MONITOR, HERE, False, PoolState("UP", {A: "UP", B: "DRAIN", C: "MAINT", D: "DOWN"})),
        (MONITOR, HERE, True, PoolState("UP", {A: "UP", B: "DRAIN", C: "MAINT", D: "RESTARTING"})),
        (MONITOR, {}, False, PoolState("DOWN", {A: "DOWN", B: "DOWN", C: "MAINT", D: "DOWN"})),
        (MONITOR, {}, True, PoolState("UP", {A: "RESTARTING", B: "RESTARTING", C: "MAINT", D: "RESTARTING"})),
        ("", HERE, False, PoolState("UP", {A: "no check", B: "DRAIN", C: "MAINT", D: "DOWN"})),
        ("", {}, False, PoolState("UP", {A: "no check", B: "no check", C: "MAINT", D: "no check"})),
    ],
)
def test_members_are_as_the_kernel_has_them(monitor: str, servers: Mapping[Place, RealServer], settling: bool, expected: PoolState) -> None:
    assert pool_state(parse(conf(monitor)), servers, settling=settling) == expected


class Recorded:
    """A kernel that prints what another one did; `broken` is what its counters cannot be read for."""

    def __init__(self) -> None:
        self.counted = Counts(684, 114, 1)
        self.broken = ""

    def table(self) -> Table:
        return parse_table(KERNEL)

    def counters(self) -> Mapping[Service, Counts]:
        if self.broken:
            raise SystemFault(self.broken)
        return {Service("UDP", place("198.51.100.1", 5000)): self.counted, Service("UDP", place("2001:db8::1", 5000)): Counts(1, 1, 1)}


def test_a_look_has_states_and_owes_counters(tmp_path: Path) -> None:
    file = tmp_path / "lvs.conf"
    file.write_text(conf())
    kernel, ledger, written = Recorded(), Ledger("boot"), file.stat().st_mtime
    look = LvsLook(kernel, lambda: [LISTENER], lambda _: file, lambda: written + 60)
    seen = look.look(ledger)
    assert seen.listeners == {LISTENER: ListenerState("OPEN", 6)}
    assert seen.pools == {POOL: PoolState("UP", {A: "UP", B: "DRAIN", C: "MAINT", D: "UP"})}
    assert ledger.take(seen.listeners) == {LISTENER: Counts(685, 115, 2)}
    kernel.broken = "no netlink today"
    assert look.look(ledger) == seen
    kernel.broken, kernel.counted = "", Counts(700, 120, 2)
    look.look(ledger)
    assert ledger.take(seen.listeners) == {LISTENER: Counts(16, 6, 1)}


def test_listeners_without_a_pool_are_open_and_disabled_or_deleted_ones_are_not_there(tmp_path: Path) -> None:
    for name, text in {"bare": "# Configuration for Listener x\n", "off": f"# Listener {LISTENER} is disabled\n"}.items():
        (tmp_path / name).write_text(text)
    look = LvsLook(Recorded(), lambda: ["bare", "off", "deleted"], lambda name: tmp_path / name, lambda: 0.0)
    assert look.look(Ledger()) == ({"bare": ListenerState("OPEN", 0)}, {})
