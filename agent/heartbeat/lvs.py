"""`LvsLook`: UDP and SCTP listeners, which the kernel's IPVS serves and keepalived looks after."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import structlog

from agent.errors import SystemFault
from agent.heartbeat.counters import Counts, Ledger
from agent.heartbeat.haproxy_look import Seen
from agent.heartbeat.ipvs import RealServer, Service, Table
from agent.heartbeat.lvs_conf import LvsConf, Place, parse
from agent.heartbeat.message import ListenerState, PoolState

_log = structlog.get_logger(__name__)

#: Seconds after its configuration was written in which a member that the kernel does not have is not down: keepalived may not have come to it.
_SETTLING = 15.0


class Kernel(Protocol):
    """See `agent.heartbeat.ipvs.Ipvs`."""

    def table(self) -> Table:
        """Services and their real servers."""

    def counters(self) -> Mapping[Service, Counts]:
        """What each service has counted."""


class LvsLook:
    """`running()`: the ids of the listeners whose keepalived runs; `conf(id)`: where its configuration is; `now()`: the time of the file system."""

    def __init__(self, kernel: Kernel, running: Callable[[], list[str]], conf: Callable[[str], Path], now: Callable[[], float]) -> None:
        self._kernel = kernel
        self._running = running
        self._conf = conf
        self._now = now
        self._uncounted: str | None = None

    def look(self, ledger: Ledger) -> Seen:
        """Their states; counters go into the ledger. Raises SystemFault."""
        configurations = self._configurations()
        if not any(conf.virtual for conf, _ in configurations.values()):
            # The kernel may not even have IPVS then.
            return Seen({listener: ListenerState("OPEN", 0) for listener in configurations}, {})
        table, counters = self._kernel.table(), self._counters()
        listeners, pools = {}, {}
        for listener, (conf, settling) in configurations.items():
            services = [Service(conf.protocol, place) for place in conf.virtual]
            for service in services:
                if service in counters:
                    ledger.see(f"ipvs/{service.protocol}/{service.place.address.hex()}:{service.place.port}", {listener: counters[service]})
            servers = {place: server for service in services for place, server in table.get(service, {}).items()}
            active = sum(server.active for service in services for server in table.get(service, {}).values())
            listeners[listener] = ListenerState("OPEN", active)
            if conf.pool is not None and conf.virtual:
                pools[conf.pool] = pool_state(conf, servers, settling=settling)
        return Seen(listeners, pools)

    def _counters(self) -> Mapping[Service, Counts]:
        """Without counters, states are still true: nothing is lost but the time until they can be read again."""
        try:
            counters = self._kernel.counters()
        except SystemFault as error:
            if self._uncounted is None:
                _log.warning("IPVS is not counted", error=str(error))
            self._uncounted = str(error)
            return {}
        self._uncounted = None
        return counters

    def _configurations(self) -> dict[str, tuple[LvsConf, bool]]:
        found = {}
        for listener in self._running():
            path = self._conf(listener)
            try:
                conf = parse(path.read_text(encoding="utf-8", errors="replace"))
                settling = self._now() - path.stat().st_mtime < _SETTLING
            except FileNotFoundError:
                continue  # it is being deleted
            except (OSError, ValueError) as error:
                raise SystemFault(f"{path} cannot be read: {error}") from error
            if not conf.disabled:
                found[listener] = (conf, settling)
        return found


def pool_state(conf: LvsConf, servers: Mapping[Place, RealServer], *, settling: bool) -> PoolState:
    """The states of a pool and its members, where the kernel has these real servers.

    keepalived takes out a real server that its check finds down. `settling`: it may not have put in all of them yet.
    """

    def member(place: Place | None) -> str:
        if place is None:
            return "MAINT"
        server = servers.get(place)
        if server is None:
            if conf.monitored or servers:
                return "RESTARTING" if settling else "DOWN"
            return "no check"
        if server.weight == 0:
            return "DRAIN"
        return "UP" if conf.monitored else "no check"

    any_wanted = any(place is not None for place in conf.members.values())
    down = conf.monitored and not servers and any_wanted and not settling
    return PoolState("DOWN" if down else "UP", {identity: member(place) for identity, place in conf.members.items()})
