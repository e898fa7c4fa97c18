"""A lab with a pair of amphorae: real VRRP, real clients, real failures. What is asserted is who answers, never how fast: that is in benchmarks/."""

from __future__ import annotations

import json
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.labs import VIP, VIP6, authority, forwarder, get, graph, healed, lab, whole
from support.polling import eventually, settled

from agent.errors import AgentUnreachable, ConflictError, SocketFault
from agent.stats_socket import StatsSocket
from compiler.secrets import Secret
from hydria.lab import bridges, failing
from hydria.lab.lab import CLIENTS
from hydria.lab.load import summary
from hydria.lab.loading import Loading, aim
from hydria.lab.looking import look
from hydria.lab.namespaces import inside
from hydria.lab.switching import switch
from hydria.lab.topology import Wishes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hydria.lab.failing import What
    from hydria.lab.lab import Lab


@pytest.fixture(scope="module")
def made() -> Iterator[Lab]:
    with lab("pair") as found:
        yield found


@pytest.fixture
def pair(made: Lab) -> Lab:
    healed(made)
    return made


def other_than(pair: Lab, amphora: str) -> str:
    return next(one.name for one in pair.plan.amphorae if one.name != amphora)


def kept(pair: Lab) -> dict[str, str | None]:
    """Client → its member."""
    return {client: get(pair, source=client).name for client in pair.plan.subnets[0].clients[:6]}


def assert_serves(pair: Lab) -> None:
    """Certificates and allowed networks as the graph has them, at both VIPs."""
    for vip in (VIP, VIP6):
        secured = get(pair, vip, 443, tls=authority(pair).client_context(), server_name="www.shop.example")
        assert secured.status == 200
    assert get(pair, VIP, 81, source=pair.plan.subnets[0].clients[0]).status == 200
    with pytest.raises(OSError, match=r"reset|without"):
        get(pair, VIP, 81, source=pair.plan.subnets[0].gateway)


@pytest.mark.parametrize(
    "what", ["network", "haproxy", "keepalived", pytest.param("cable", marks=pytest.mark.slow), pytest.param("all", marks=pytest.mark.slow)]
)
def test_the_other_one_takes_over(pair: Lab, what: What) -> None:
    [master] = pair.holders()
    other = other_than(pair, master)
    before = kept(pair)
    eventually(lambda: len(sessions(pair, other)) >= len(before), "the clients' sessions at the other one")
    failing.kill(pair, master, what)
    settled(lambda: [forwarder(pair, vip) for vip in (VIP, VIP6)], [other, other], "who forwards", 20)
    assert kept(pair) == before
    macs = {one.name: one.vip_mac for one in pair.plan.amphorae}
    known = bridges.neighbours(pair.network(CLIENTS))
    assert (known[VIP], known[VIP6]) == (macs[other], macs[other])
    assert_serves(pair)
    # The one that has them keeps them; of two that have them, the one with the higher priority.
    assert healed(pair) == ("amphora-1" if what == "network" else other)
    assert kept(pair) == before


def sessions(pair: Lab, amphora: str) -> list[str]:
    """The clients that an amphora's HAProxy, if it serves, knows the member of."""
    socket = StatsSocket(Path(f"/proc/{pair.first_process(amphora)}/root/run/hydria/{pair.plan.lb}.sock"))
    try:
        tables = [line.split()[2].rstrip(",") for line in socket.ask("show table").splitlines() if line.startswith("# table")]
        return [line for table in tables for line in socket.ask(f"show table {table}").splitlines() if "key=" in line]
    except SocketFault:
        return []


def test_a_switch_that_is_wanted_loses_no_request(pair: Lab) -> None:
    [master] = pair.holders()
    with Loading(pair, aim(pair), 40) as loading, ThreadPoolExecutor(1) as pool:
        time.sleep(0.5)
        slow = pool.submit(get, pair, headers={"X-Lab-Delay": "1"})
        time.sleep(0.2)
        before, after, said = switch(pair, within=10)
        eventually(lambda: any(one.by == after for one in loading.results), "answers by way of the other one")
    found = summary(loading.results)
    assert slow.result().status == 200
    assert (before, after, said.resigned, said.connections) == (master, other_than(pair, master), True, 0)
    assert found.errors == {}
    assert set(found.by) == {before, after}
    assert "hydria_resigning" not in listed_tables(pair, before)


@pytest.mark.slow
def test_an_agent_that_is_killed_while_it_resigns_leaves_a_load_balancer_that_serves(pair: Lab) -> None:
    [master] = pair.holders()
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(get, pair, headers={"X-Lab-Delay": "4"})
        resigning = pool.submit(resign_in_vain, pair, master)
        eventually(lambda: "hydria_resigning" in listed_tables(pair, master), "new connections being held up")
        failing.kill(pair, master, "agent")
        # Nobody takes back what it did; it ends by itself.
        eventually(lambda: forwarder(pair) == master, "the load balancer serves as before", 40)
        resigning.result()
        assert slow.result().status == 200


def resign_in_vain(pair: Lab, master: str) -> None:
    with pair.driving() as clients, pytest.raises(AgentUnreachable):
        clients[master].resign(pair.plan.lb, 10)


def listed_tables(pair: Lab, amphora: str) -> str:
    with inside(pair.traffic(amphora)):
        return subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout


def test_who_has_no_vips_gives_none_away(pair: Lab) -> None:
    [master] = pair.holders()
    with pair.driving() as clients:
        said = clients[other_than(pair, master)].resign(pair.plan.lb)
    assert (said.resigned, pair.holders()) == (False, [master])


def test_nobody_switches_to_one_that_could_not_take_over(pair: Lab) -> None:
    [master] = pair.holders()
    failing.kill(pair, other_than(pair, master), "agent")
    with pytest.raises(ConflictError, match="could not take over"):
        switch(pair)
    assert pair.holders() == [master]


def test_a_split_brain_heals(pair: Lab) -> None:
    failing.kill(pair, pair.holders()[0], "network")
    eventually(lambda: len(pair.holders()) == 2, "two that take themselves for the master")
    assert not look(pair).well
    healed(pair)
    eventually(lambda: whole(pair), "one master")
    assert_serves(pair)


def test_reloads_do_not_move_the_vips(pair: Lab) -> None:
    [master] = pair.holders()
    plan = pair.plan
    vrrp = plan.hints["vrrp"]
    with Loading(pair, aim(pair), 40) as loading, pair.driving() as clients:
        for interval in (vrrp["advert_interval"] + 10, vrrp["advert_interval"]):
            hints = {**plan.hints, "vrrp": {**vrrp, "advert_interval": interval}}
            document = json.loads(plan.graph)
            # HAProxy is reloaded for another timeout, keepalived for another interval.
            document["loadbalancer"]["listeners"][0]["timeout_client_data"] = 40_000 + interval
            for name in sorted(clients, key=lambda name: name == master):
                done = clients[name].put_loadbalancer(plan.lb, json.dumps(document).encode(), material(pair), target=hints)
                assert (done.way, done.also) == ("reload", ["keepalived reloaded"])
    assert summary(loading.results).errors == {}
    assert set(summary(loading.results).by) == {master}
    assert pair.holders() == [master]


def material(pair: Lab) -> dict[str, Secret]:
    return {"shop": Secret(authority(pair).server("shop.example", "*.shop.example").bundle_pem)}


def test_members_fail_and_come_back_as_heartbeats_tell(pair: Lab) -> None:
    failing.kill(pair, "m1")
    eventually(lambda: told(pair, "m1", "DOWN"), "both tell that it is down", 30)
    assert {get(pair, source=client).name for client in pair.plan.subnets[0].clients[:6]} <= {"m0", "m2"}
    assert failing.heal(pair, "m1") == ["member m1 back"]
    eventually(lambda: told(pair, "m1", "UP"), "both tell that it is up", 30)
    assert look(pair).wrong_beats == 0


def told(pair: Lab, member: str, state: str) -> bool:
    found = next(one for one in look(pair).members if one.name == member).told
    return len(found) == 2 and all(word == state for word in found.values())


@pytest.mark.slow
def test_with_preemption_the_first_one_takes_them_back() -> None:
    with lab("preempt", Wishes(preempt=True)) as pair:
        eventually(lambda: pair.holders() == ["amphora-1"], "the VIPs at the one with the higher priority", 20)
        failing.kill(pair, "amphora-1", "network")
        eventually(lambda: forwarder(pair) == "amphora-2", "the other one forwards", 20)
        failing.heal(pair)
        eventually(lambda: pair.holders() == ["amphora-1"] and forwarder(pair) == "amphora-1", "the first one has them again", 20)


def test_the_graph_is_what_agents_serve(pair: Lab) -> None:
    with pair.driving() as clients:
        served = [json.loads(client.loadbalancer_graph(pair.plan.lb).text) for client in clients.values()]
        generations = {client.loadbalancer_status(pair.plan.lb).generation for client in clients.values()}
    assert [len(one["loadbalancer"]["listeners"]) for one in served] == [len(graph()["listeners"])] * 2
    assert len(generations) == 1
