"""`Resigning`: an amphora that has the VIPs of a pair gives them away, as before maintenance, and no request is lost.

A connection cannot follow the VIPs to another machine. So first nobody gets a new one here: packets that would open one are dropped, and a
client's kernel sends them again a second later (RFC 6298, section 2), to whoever has the VIPs by then. When the requests in progress have
been answered, keepalived is told by its health file that this amphora may not hold the VIPs, and says so to the other one, which takes over
at once. After that it is told otherwise again. What holds up new connections ends by itself: also an agent that is killed in the middle
leaves a load balancer that serves.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import structlog

from agent.clock import wait_until
from agent.errors import ConflictError, InvalidRequest, NotFoundError, SystemFault
from agent.files import remove_file, replace_file
from agent.graph_views import vips
from agent.network.connections import connections
from agent.network.namespaces import command
from agent.outcomes import Resigned
from agent.texts import Text, render
from compiler.bundle import VRRP_CONF

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.clock import Clock
    from agent.haproxies import Haproxies
    from agent.paths import Paths
    from agent.processes import Runner
    from agent.vrrp_health import VrrpHealth

_LOG = structlog.get_logger("agent.resigning")

#: Seconds: the longest that requests in progress are waited for. A client's kernel tries again after one, three and seven.
LONGEST = 30.0
#: Seconds for which it must not be tried to open a connection twice in vain: more would be told to a client's user.
_LEAVING = 5.0
#: Seconds beyond an interval of its messages that the other one has to take over before this one may be master again.
_TAKING_OVER = 0.5
#: Seconds for nft.
_PATIENCE = 10.0

_INTERVAL = re.compile(rb"^[ \t]*advert_int[ \t]+([\d.]+)", re.MULTILINE)


class Resigning:
    """`holds` says whether an address is on this machine just now, `namespace` is where it would be."""

    def __init__(
        self,
        haproxies: Haproxies,
        health: VrrpHealth,
        paths: Paths,
        *,
        holds: Callable[[str], bool],
        namespace: str,
        runner: Runner,
        clock: Clock,
    ) -> None:
        self._haproxies = haproxies
        self._health = health
        self._paths = paths
        self._holds = holds
        self._namespace = namespace
        self._runner = runner
        self._clock = clock

    def resign(self, lb: str, within: float) -> Resigned:
        """Gives the VIPs of a load balancer away, when no request is in progress any more or after `within` seconds.

        Nothing happens where they are not here. Raises NotFoundError; ConflictError where it is none of a pair, by a graph; InvalidRequest;
        SystemFault, with nothing changed or when keepalived does not give them away.
        """
        if not 0 <= within <= LONGEST:
            raise InvalidRequest(f"within: {within:g} given; 0 to {LONGEST:g} seconds are allowed")
        with self._haproxies.locks(lb):
            current = self._haproxies.generations(lb).linked("current")
            if current is None:
                raise NotFoundError(f"there is no load balancer {lb}")
            if not current.has(VRRP_CONF):
                raise ConflictError("this is none of a pair by a graph, so there is nobody to take over")
            here = [vip for vip in vips(current) if self._holds(vip)]
            if not here:
                return Resigned(loadbalancer=lb, resigned=False, connections=0, seconds=0.0)
            interval = _INTERVAL.search(current.read(VRRP_CONF))
            away = (float(interval[1]) if interval else 1.0) + _TAKING_OVER
            return self._give_away(lb, here, within, away)

    def _give_away(self, lb: str, here: Sequence[str], within: float, away: float) -> Resigned:
        began = self._clock.monotonic()
        self._hold(lb, here, within + _LEAVING)
        try:
            answered = wait_until(lambda: connections(self._namespace, here) == 0, within, self._clock)
            left = 0 if answered else connections(self._namespace, here)
            self._health.resign(lb)
            try:
                gone = wait_until(lambda: not any(map(self._holds, here)), _LEAVING, self._clock)
                seconds = self._clock.monotonic() - began
                if gone:
                    self._clock.sleep(away)
            finally:
                self._health.stand(lb)
        finally:
            self._hold_no_more(lb)
        if not gone:
            raise SystemFault("keepalived does not give the VIPs away; they are still here")
        _LOG.info("the VIPs were given away", loadbalancer=lb, seconds=round(seconds, 3), connections=left)
        return Resigned(loadbalancer=lb, resigned=True, connections=left, seconds=round(seconds, 3))

    def _hold(self, lb: str, here: Sequence[str], seconds: float) -> None:
        addresses = {4: [Text(vip) for vip in here if ":" not in vip], 6: [Text(vip) for vip in here if ":" in vip]}
        milliseconds = int(seconds * 1000)
        text = render("nftables/resigning.nft.j2", table=self._table(lb), four=addresses[4], six=addresses[6], milliseconds=milliseconds)
        file = self._paths.run / f"{lb}.resigning.nft"
        replace_file(file, text)
        try:
            self._nft("-f", str(file))
        finally:
            remove_file(file)

    def _hold_no_more(self, lb: str) -> None:
        try:
            self._nft("delete", "table", "inet", self._table(lb))
        except SystemFault as error:
            # It lets everything through by now or in a few seconds, and is replaced by the next.
            _LOG.warning("the filter of a resignation stays", loadbalancer=lb, error=str(error))

    def _table(self, lb: str) -> Text:
        return Text(f"hydria_resigning_{lb.replace('-', '')}")

    def _nft(self, *arguments: str) -> None:
        done = self._runner.run(command(self._namespace, ["nft", *arguments]), timeout=_PATIENCE)
        if done.code != 0:
            raise SystemFault(f"nft {arguments[0]} failed: {done.output.strip()}")
