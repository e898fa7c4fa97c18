"""`VrrpHealth`: tells keepalived of a pair whether this amphora may hold the VIPs, in the file that our VRRP configurations track.

keepalived sees a change of the file at once (keepalived.conf(5), `track_file`): 0 while HAProxy serves, 1 while it should and does not.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import structlog

from agent.errors import AgentError
from compiler.bundle import VRRP_CONF

if TYPE_CHECKING:
    from pathlib import Path

    from agent.clock import Clock
    from agent.haproxies import Haproxies
    from agent.paths import Paths

_LOG = structlog.get_logger("agent.vrrp_health")

#: Seconds between two looks.
_BETWEEN = 0.5


class VrrpHealth:
    """Of all load balancers that have VRRP by a graph."""

    def __init__(self, haproxies: Haproxies, paths: Paths, clock: Clock) -> None:
        self._haproxies = haproxies
        self._paths = paths
        self._clock = clock
        self._told: dict[str, bool] = {}

    def start(self) -> None:
        """Looks from now on."""
        threading.Thread(target=self._go_on, name="vrrp-health", daemon=True).start()

    def look(self) -> None:
        """Looks once."""
        for lb in self._haproxies.loadbalancers():
            current = self._haproxies.generations(lb).linked("current")
            if current is None or not current.has(VRRP_CONF):
                self._told.pop(lb, None)
                continue
            serves = self._haproxies.running(lb)
            if self._told.get(lb) != serves:
                _write(self._paths.health(lb), b"0\n" if serves else b"1\n")
                _LOG.info("may hold the VIPs" if serves else "may not hold the VIPs: HAProxy does not serve", loadbalancer=lb)
                self._told[lb] = serves

    def _go_on(self) -> None:
        while True:
            try:
                self.look()
            except (AgentError, OSError) as error:
                _LOG.error("keepalived cannot be told how HAProxy fares", error=str(error))
            self._clock.sleep(_BETWEEN)


def _write(path: Path, text: bytes) -> None:
    """In place, in one write: keepalived watches the file itself."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.pwrite(descriptor, text, 0)
    finally:
        os.close(descriptor)
