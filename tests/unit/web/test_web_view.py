"""What the status page shows of what was seen."""

from __future__ import annotations

import pytest
from pictures import DNS, LB, MEMBERS, NAME, WEB, graph, look, picture, row, rows, sighting, trial

from agent.outcomes import Worker
from hydria.flows import Flow
from hydria.web import page
from hydria.web.view import view

UP = rows("UP", "UP", "UP")


def only(shown: page.Page) -> page.Balancer:
    [balancer] = shown.balancers
    return balancer


def of_pair() -> page.Balancer:
    """amphora-2 is master, and has done 300 requests in 10 seconds; amphora-1 50."""
    first = sighting(1, look(rows("UP", "UP", "UP", requests=50), 20.0, vip_here=False), look(UP, 10.0, vip_here=False))
    second = sighting(2, look(rows("UP", "DOWN", "DRAIN", requests=300, bytes_out=5000), 20.0), look(UP, 10.0))
    return only(view(picture(first, second), 0.0))


def test_who_is_master_and_that_ones_word_counts() -> None:
    shown = of_pair()
    assert (shown.name, shown.vips, shown.status, shown.tone) == (NAME, ("192.0.2.10",), "DEGRADED", "warn")
    assert [(one.name, one.role, one.tone, one.haproxy, one.generation) for one in shown.amphorae] == [
        ("amphora-1", "standby", "good", "3.0.11", 2),
        ("amphora-2", "master", "good", "3.0.11", 2),
    ]
    web, dns = shown.listeners
    assert (web.name, web.protocol, web.port, web.status, dns.status) == ("web", "TERMINATED_HTTPS", 443, "DEGRADED", "ONLINE")
    assert [(one.name, one.place, one.status, one.weight, one.reason) for one in web.pools[0].members] == [
        ("m0", "198.51.100.0:80", "ONLINE", 2, ""),
        ("m1", "198.51.100.1:80", "ERROR", 2, "L4TOUT"),
        ("m2", "198.51.100.2:80", "DRAINING", 2, ""),
    ]
    assert [(pool.name, [one.status for one in pool.members]) for pool in dns.pools] == [("resolvers", ["NO_MONITOR"])]


def test_traffic_is_that_of_all_amphorae() -> None:
    web, dns = of_pair().listeners
    assert web.rates == page.Rates(sessions=35.0, requests=35.0, received=0.0, sent=500.0)
    assert (web.sessions, web.unit, dns.unit) == (4, "requests", "connections")
    assert all(member.rates is None for member in dns.pools[0].members)


def test_it_is_not_known_after_one_look_and_when_counters_begin_anew() -> None:
    assert only(view(picture(sighting(1, look(UP))), 0.0)).listeners[0].rates is None
    again = sighting(1, look(UP, 20.0), look(rows("UP", requests=7), 10.0))
    assert only(view(picture(again), 0.0)).listeners[0].rates is None


def test_what_went_on_lately() -> None:
    flow = Flow(1.5, 2.5, 0.0, 0.0)
    web, dns = only(view(picture(sighting(1, look(UP)), web=(None, flow), dns=(flow,)), 0.0)).listeners
    assert (web.history, dns.history) == ((None, 2.5), (1.5,))


def test_one_that_does_not_answer_counts_for_nothing() -> None:
    lost = sighting(2, look(rows("DOWN", "DOWN", "DOWN")), None, "connection refused")
    shown = only(view(picture(sighting(1, look(UP, vip_here=False)), lost), 0.0))
    assert (shown.status, [one.error for one in shown.amphorae]) == ("ONLINE", ["", "connection refused"])
    assert shown.amphorae[1].tone == "bad"
    assert shown.amphorae[1].role == ""
    none = only(view(picture(lost), 0.0))
    assert (none.status, none.tone) == ("UNKNOWN", "bad")


def test_agents_that_carry_nothing_or_have_never_answered() -> None:
    idle = sighting(1, look(UP)._replace(served=()))
    shown = view(picture(idle, sighting(2, None, None, "no route")), 0.0)
    assert shown.balancers == ()
    assert [(one.name, one.tone, one.error) for one in shown.agents] == [("amphora-1", "quiet", ""), ("amphora-2", "bad", "no route")]


def test_what_is_the_matter_with_an_amphora() -> None:
    there = look(UP, step="reload", trial=trial(), old_workers=[Worker(pid=7, uptime=90, connections=3)], leaving={"m9": 1})
    [one] = only(view(picture(sighting(1, there)), 0.0)).amphorae
    assert one.tone == "warn"
    assert one.facts == (
        "change in progress: reload",
        "on trial: in 42 seconds generation 1 serves again, unless it is confirmed",
        "old worker: 3 connections, 90 seconds old",
        "leaving: m9, 1 connections",
    )


def test_changes_their_plans_and_who_moved() -> None:
    refused, latest, first = only(view(picture(sighting(1, look(UP))), 0.0)).applies
    assert (refused.number, refused.state, refused.tone, refused.plan, refused.milliseconds) == (
        3,
        "refused",
        "bad",
        ("[ALERT] no such file",),
        None,
    )
    assert (latest.way, latest.milliseconds, latest.plan) == ("reload", 1520.0, ("because: servers: balance: it is another one",))
    assert latest.moves == (page.Move(pool="servers", share=0.25, least=0.2, why="member m2 is new"),)
    assert (len(first.plan), first.plan[-1], first.moves) == (21, "and 10 lines more", ())


def test_those_of_a_pair_are_in_the_order_of_time() -> None:
    shown = of_pair().applies
    assert [(one.amphora, one.number) for one in shown] == [(f"amphora-{n}", g) for g in (3, 2, 1) for n in (1, 2)]


def test_certificates_are_told_by_what_they_are_for() -> None:
    shown = view(picture(sighting(1, look(UP))), 0.0)
    assert [(one.of, one.days, one.tone) for one in only(shown).certificates] == [
        ("shop (web)", 3.4, "bad"),
        ("people (web)", 20.0, "warn"),
    ]
    assert [(one.of, one.amphora, one.tone) for one in shown.certificates] == [("agent's certificate", "amphora-1", "good")]


def test_of_very_many_members_those_are_shown_with_which_something_is_the_matter() -> None:
    many = [row("member", f"{number:08d}-0000-4000-8000-0000000000cc", "DOWN" if number == 140 else "UP") for number in range(150)]
    [web, _] = only(view(picture(sighting(1, look((*UP[:2], *many)))), 0.0)).listeners
    [pool] = web.pools
    assert (pool.status, len(pool.members), pool.more, pool.members[0].status) == ("DEGRADED", 100, 50, "ERROR")


def test_a_load_balancer_of_no_graph_has_ids_for_names() -> None:
    shown = only(view(picture(sighting(1, look(UP, known=None, vip_here=None))), 0.0))
    assert (shown.name, shown.vips, [one.role for one in shown.amphorae]) == (LB, (), [""])
    assert [one.name for one in shown.listeners] == [WEB, DNS]
    assert [one.name for one in shown.listeners[0].pools[0].members] == list(MEMBERS)


@pytest.mark.parametrize(("state", "status"), [("ERROR", "ERROR"), ("OFFLINE", "OFFLINE")])
def test_the_agents_word_for_the_whole(state: str, status: str) -> None:
    assert only(view(picture(sighting(1, look((), state=state))), 0.0)).status == status


def test_a_listener_that_is_switched_off_is_shown() -> None:
    there = look(tuple(each for each in UP if each.listener != WEB), known=graph())
    assert [(one.name, one.status, one.tone) for one in only(view(picture(sighting(1, there)), 0.0)).listeners] == [
        ("web", "OFFLINE", "quiet"),
        ("dns", "ONLINE", "good"),
    ]
