"""`SupervisedHaproxy`: a HAProxy that is our child, for hosts, namespaces and tests without an init system.

`haproxy -W -db`: a master in the foreground, which starts a worker, replaces it at a reload while the old one serves its connections to
their end, and exits when the worker does (management guide 3 and 4). While it runs, metrics for its PROMETHEUS listeners are translated here.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Self

from agent.clock import Clock, SystemClock, wait_until
from agent.errors import SystemFault
from agent.haproxy import Haproxy, loading
from agent.log_file import LogFile
from agent.metrics.exporters import Exporters
from agent.metrics.places import places
from agent.processes import Child, LocalRunner, Runner
from agent.running_haproxy import RunningHaproxy
from agent.stats_socket import MasterSocket, StatsSocket
from compiler.bundle import HAPROXY_CFG

if TYPE_CHECKING:
    from pathlib import Path

#: Seconds that HAProxy gets between SIGTERM, which closes all connections at once, and SIGKILL.
_TERMINATION = 2.0


class SupervisedHaproxy:
    """Runs `haproxy` with the bundle in `directory`, for the load balancer with the id `loadbalancer_id`.

    `run_directory` is the target's: there are the sockets, and `haproxy.log`, which all that HAProxy writes is appended to.
    It is a context manager: leaving it stops HAProxy. HAProxy ends with the thread that called `start`, however that ends.
    """

    def __init__(
        self,
        haproxy: Haproxy,
        directory: Path,
        run_directory: Path,
        loadbalancer_id: str,
        *,
        runner: Runner | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.stats = StatsSocket(run_directory / f"{loadbalancer_id}.sock")
        self.log = run_directory / "haproxy.log"
        master = MasterSocket(run_directory / "master.sock")
        self._arguments = [
            str(haproxy.binary),
            *("-W", "-db", "-S", f"{master.path},mode,600", *loading(directory)),
        ]
        self._runner = runner or LocalRunner()
        self._clock = clock or SystemClock()
        self._child: Child | None = None
        self._directory = directory
        self._exporters = Exporters(clock=self._clock)
        self._words = LogFile(self.log)
        self._running = RunningHaproxy(master, self.stats, self._pid, self._words, self._clock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(grace=0)

    def start(self, timeout: float = 30.0) -> None:
        """Returns when a worker serves. Raises HaproxyExited with its words when it exits, DeadlineExceeded after `timeout` s."""
        if self._child is not None:
            raise SystemFault("this HAProxy has been started before; stop it first")
        since = self._words.position()
        self._child = self._runner.start(self._arguments, output=self.log)
        try:
            self._running.await_worker(since, timeout)
            self._export()
        except BaseException:
            self.stop(grace=0)
            raise

    def reload(self, timeout: float = 30.0) -> None:
        """Loads the bundle again; returns when a new worker serves. The old one goes on with the connections that it has.

        Raises RejectedByHaproxy when the configuration was refused: the old worker goes on as if nothing had happened. Raises
        HaproxyExited when the master exited, DeadlineExceeded after `timeout` s.
        """
        self._running.reload(timeout)
        self._export()

    def stop(self, grace: float) -> None:
        """Stops HAProxy: no new connections, `grace` seconds for the present ones, then their end. Nothing of it runs afterwards."""
        child, self._child = self._child, None
        if child is None:
            return
        self._exporters.close()
        try:
            for number, seconds in ((signal.SIGUSR1, grace), (signal.SIGTERM, _TERMINATION)):
                if seconds > 0 and child.exit_code() is None:
                    child.signal(number)
                    wait_until(lambda: child.exit_code() is not None, seconds, self._clock)
        finally:
            child.end()

    def alive(self) -> bool:
        """Whether the master runs."""
        return self._child is not None and self._child.exit_code() is None

    def words(self) -> str:
        """The last that HAProxy wrote."""
        return self._words.since("")

    def _export(self) -> None:
        """Has metrics be where the configuration wants them."""
        wanted = places((self._directory / HAPROXY_CFG).read_bytes())
        self._exporters.follow([wanted] if wanted else [])

    def _pid(self) -> int | None:
        return self._child.pid if self._child is not None and self.alive() else None
