"""`VrrpHealth`: tells keepalived of a pair whether this amphora may hold the VIPs, in the file that our VRRP configurations track.

keepalived sees a change of the file at once (keepalived.conf(5), `track_file`): 0 while HAProxy serves, 1 while it should and does not, and
while the amphora resigns. The end of HAProxy's process is seen when it happens (pidfd_open(2)), not at the next look; where a kernel or a
filter of system calls has no such call, at the next look.
"""

from __future__ import annotations

import errno
import os
import select
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from agent.errors import AgentError, SocketFault
from compiler.bundle import VRRP_CONF

if TYPE_CHECKING:
    from pathlib import Path

    from agent.clock import Clock
    from agent.haproxies import Haproxies
    from agent.paths import Paths

_LOG = structlog.get_logger("agent.vrrp_health")

#: Seconds between two looks.
_BETWEEN = 0.5

#: How often in a row one whose process lives must not answer: between two images of the master, at a reload, it does not.
_SILENCES = 3

#: What a kernel that has no such call says, and what filters of system calls do.
_NO_SUCH_CALL = (errno.ENOSYS, errno.EPERM)


class VrrpHealth:
    """Of all load balancers that have VRRP by a graph. `resign` and `stand` may be called from any thread."""

    def __init__(self, haproxies: Haproxies, paths: Paths, clock: Clock) -> None:
        self._haproxies = haproxies
        self._paths = paths
        self._clock = clock
        self._told: dict[str, bool] = {}
        self._silences: dict[str, int] = {}
        self._resigned: set[str] = set()
        self._lock = threading.Lock()

    def start(self) -> None:
        """Looks from now on."""
        threading.Thread(target=self._go_on, name="vrrp-health", daemon=True).start()

    def look(self) -> set[int]:
        """Looks once; the process ids of the HAProxies whose end is worth another look at once."""
        pids = set()
        for lb in self._haproxies.loadbalancers():
            current = self._haproxies.generations(lb).linked("current")
            if current is None or not current.has(VRRP_CONF):
                self._told.pop(lb, None)
                continue
            pid = self._haproxies.process(lb).pid()
            serves = pid is not None and self._serves(lb)
            if serves and pid is not None:
                pids.add(pid)
            self._tell(lb, serves=serves)
        return pids

    def resign(self, lb: str) -> None:
        """The amphora may not hold the VIPs from now on, however HAProxy fares, until `stand`. Raises OSError."""
        with self._lock:
            self._resigned.add(lb)
            self._told[lb] = False
            _write(self._paths.health(lb), b"1\n")

    def stand(self, lb: str) -> None:
        """It may again, if HAProxy serves. Raises OSError."""
        with self._lock:
            self._resigned.discard(lb)
            self._told.pop(lb, None)
        self.look()

    def _serves(self, lb: str) -> bool:
        """Whether it does, of one whose process lives."""
        answers = self._haproxies.running(lb)
        if not answers:
            # While a new worker is loading, the old one serves.
            with suppress(SocketFault):
                answers = bool(self._haproxies.stats(lb).show_info())
        self._silences[lb] = 0 if answers else self._silences.get(lb, 0) + 1
        # One that has just been started must have answered once.
        return answers or (self._told.get(lb, False) and self._silences[lb] < _SILENCES)

    def _tell(self, lb: str, *, serves: bool) -> None:
        with self._lock:
            may = serves and lb not in self._resigned
            if self._told.get(lb) != may:
                _write(self._paths.health(lb), b"0\n" if may else b"1\n")
                _LOG.info("may hold the VIPs" if may else "may not hold the VIPs: HAProxy does not serve", loadbalancer=lb)
                self._told[lb] = may

    def _go_on(self) -> None:
        while True:
            try:
                _wait_for_an_end(self.look(), _BETWEEN)
            except (AgentError, OSError) as error:
                _LOG.error("keepalived cannot be told how HAProxy fares", error=str(error))
                self._clock.sleep(_BETWEEN)


def _wait_for_an_end(pids: set[int], seconds: float) -> None:
    """Returns when one of the processes ends, or after so many seconds."""
    poll = select.poll()
    descriptors = []
    try:
        for pid in pids:
            try:
                descriptors.append(os.pidfd_open(pid))
            except ProcessLookupError:
                return
            except OSError as error:
                if error.errno not in _NO_SUCH_CALL:
                    raise
                continue
            poll.register(descriptors[-1], select.POLLIN)
        poll.poll(seconds * 1000)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _write(path: Path, text: bytes) -> None:
    """In place, in one write: keepalived watches the file itself."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.pwrite(descriptor, text, 0)
    finally:
        os.close(descriptor)
