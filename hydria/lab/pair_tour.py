"""The second part of the demonstration: the same requests to a pair of amphorae; a member dies, the master dies, both under load; a switch."""

from __future__ import annotations

import dataclasses
import json
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hydria.lab import bridges, failing, record, timeline
from hydria.lab.certificates import Authority, Certificate
from hydria.lab.lab import CLIENTS
from hydria.lab.load import Summary, silence, summary
from hydria.lab.loading import Loading, aim
from hydria.lab.looking import look
from hydria.lab.namespaces import inside
from hydria.lab.switching import switch
from hydria.lab.tour import Finding, Place, exactly, tour

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from compiler.secrets import Secret
    from hydria.lab.lab import Lab

#: Requests a second: enough to see 10 ms, not so many that they are what keeps a small machine busy.
RATE = 100.0
#: Seconds of load before something is done, and after it.
_BEFORE, _AFTER = 1.0, 2.0
#: Seconds for a monitor to notice, an amphora to boot.
_PATIENCE = 40.0
_BETWEEN = 0.05


class PairTour:
    """What is asked of the lab `lab`. `certificates` are those that it presents, `secrets` what agents were given of them."""

    def __init__(self, lab: Lab, authority: Authority, certificates: Mapping[str, Certificate], secrets: Mapping[str, Secret]) -> None:
        self._lab = lab
        self._authority = authority
        self._certificates = certificates
        self._secrets = secrets
        self._document = lab.document()
        self.picture = ""

    def findings(self) -> Iterator[Finding]:
        """Does and asks everything, one finding after the other."""
        with inside(self._lab.network(CLIENTS)):
            place = self._place()
            for finding in tour(place):
                yield dataclasses.replace(finding, asked=f"VIP: {finding.asked}")
            yield from self._member(place)
            yield from self._failover(place)
            yield from self._switch()

    def _place(self) -> Place:
        [subnet, *_] = self._lab.plan.subnets
        ports = {one.name: (subnet.vip, one.port) for one in self._lab.plan.listeners}
        pools = {pool["name"]: pool for pool in self._document["pools"]}
        *clients, visitor = subnet.clients
        return Place(ports, self._authority, self._certificates, pools, self._push, clients, visitor)

    def _push(self) -> None:
        """Has both amphorae serve the document as it is now, the master last."""
        plan = self._lab.plan
        masters = self._lab.holders()
        with self._lab.driving() as clients:
            for name in sorted(clients, key=lambda name: name in masters):
                clients[name].put_loadbalancer(
                    plan.lb, json.dumps({"loadbalancer": self._document}).encode(), self._secrets, target=plan.hints
                )

    def _member(self, place: Place) -> Iterator[Finding]:
        with self._loaded() as loading:
            failing.kill(self._lab, "page-1")
            since = loading.now()
            told = _await(lambda: self._told("page-1"), lambda state: state == "DOWN")
            yield exactly("page-1 dies: what the heartbeats of both say of it", "DOWN", told)
            turns = {place.http("/").name for _ in range(4)}
            yield exactly("GET / 4 times: who answers", "page-2", ", ".join(sorted(map(str, turns))))
            failing.heal(self._lab, "page-1")
            told = _await(lambda: self._told("page-1"), lambda state: state == "UP")
            yield exactly("page-1 comes back: what the heartbeats of both say of it", "UP", told)
            # Others ask meanwhile, so that turns are taken among them all.
            turns = {place.http("/").name for _ in range(12)}
            yield exactly("GET / 12 times: who answers", "page-1, page-2", ", ".join(sorted(map(str, turns))))
        # What it was answering when it died is lost.
        late = summary([one for one in loading.results if one.began >= since])
        yield Finding(f"{late.requests} requests that were begun later", "none failed", _failed(late), not late.failed)

    def _failover(self, place: Place) -> Iterator[Finding]:
        carts = place.carts()
        [master] = self._lab.holders()
        other = next(one for one in self._lab.plan.amphorae if one.name != master)
        with self._loaded() as loading:
            since = loading.now()
            failing.kill(self._lab, master)
            time.sleep(_AFTER)
        results = loading.results
        quiet, found = silence(results, since), summary(results)
        later = [one for one in results if one.began >= max(quiet.end, since)]
        by = {one.by for one in later if not one.error}
        yield Finding(
            f"the master dies under load ({RATE:g} requests a second): who answers",
            other.name,
            f"{', '.join(sorted(by))} after {quiet.seconds:.2f} s",
            by == {other.name},
        )
        late = sum(bool(one.error) for one in later)
        yield Finding(
            f"of {found.requests} requests", "none failed that was begun later", f"{_failed(found)}, {late} of them later", not late
        )
        macs = bridges.neighbours(self._lab.network(CLIENTS))
        known = macs.get(self._lab.plan.vips[0], "nothing")
        yield exactly(
            "the hardware address of the VIP, as clients know it",
            f"{other.vip_mac} ({other.name})",
            f"{known} ({_whose(self._lab, known)})",
        )
        moved = sum(place.http("/cart", source=client).name != name for client, name in carts.items())
        yield exactly(
            f"the {len(carts)} clients of the hashed pool", "all with their member", f"{moved} moved" if moved else "all with their member"
        )
        events = [timeline.Event(one["at"] - loading.began_at, one["what"]) for one in record.told(self._lab.directory)]
        self.picture = timeline.svg(f"{master} dies under {RATE:g} requests a second", results, events)
        failing.heal(self._lab)
        roles = _await(self._roles, lambda roles: roles == f"{other.name} master, {master} standby")
        yield exactly(f"{master} is switched on again", f"{other.name} master, {master} standby", roles)

    def _switch(self) -> Iterator[Finding]:
        with self._loaded() as loading:
            before, after, _ = switch(self._lab)
            time.sleep(_AFTER / 2)
        found = summary(loading.results)
        yield Finding(
            f"a switch that is wanted, under load: from {before} to {after}",
            "no request failed",
            f"{found.failed} of {found.requests} failed",
            not found.failed,
        )

    @contextmanager
    def _loaded(self) -> Iterator[Loading]:
        with Loading(self._lab, aim(self._lab, host="shop.example"), RATE) as loading:
            time.sleep(_BEFORE)
            yield loading

    def _told(self, member: str) -> str:
        """What the heartbeats of both say of a member: one word where they agree."""
        found = next(one for one in look(self._lab).members if one.name == member)
        return ", ".join(dict.fromkeys(found.told.values()))

    def _roles(self) -> str:
        found = sorted(look(self._lab).amphorae, key=lambda one: one.role)
        serving = [one for one in found if len(one.programs) == 3]
        return ", ".join(f"{one.name} {one.role}" for one in serving)


def _whose(lab: Lab, mac: str) -> str:
    return next((one.name for one in lab.plan.amphorae if one.vip_mac == mac), "nobody's")


def _failed(found: Summary) -> str:
    errors = ", ".join(f"{count} {error}" for error, count in sorted(found.errors.items()))
    return f"{found.failed} failed" + (f" ({errors})" if errors else "")


def _await(ask: Callable[[], str], enough: Callable[[str], bool]) -> str:
    """The first answer that is enough, or the last."""
    until = time.monotonic() + _PATIENCE
    while not enough(answer := ask()) and time.monotonic() < until:
        time.sleep(_BETWEEN)
    return answer


def quickened(document: dict[str, Any]) -> dict[str, Any]:
    """The example with monitors that notice sooner, so that nobody has to wait."""
    for pool in document["pools"]:
        if "healthmonitor" in pool:
            pool["healthmonitor"] |= {"delay": 2, "timeout": 1, "max_retries": 1, "max_retries_down": 2}
    return document
