"""`SupervisedHaproxy`: a HAProxy that is our child, for hosts, namespaces and tests without an init system.

`haproxy -W -db`: a master in the foreground, which starts a worker, replaces it at a reload while the old one serves its connections to
their end, and exits when the worker does (management guide 3 and 4).
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Self

from agent.clock import Clock, SystemClock, wait_until
from agent.errors import DeadlineExceeded, RejectedByHaproxy, SocketFault, SystemFault
from agent.haproxy import Haproxy, loading
from agent.processes import Child, LocalRunner, Runner
from agent.stats_socket import MasterSocket, Processes, StatsSocket

if TYPE_CHECKING:
    from pathlib import Path

#: Seconds that HAProxy gets between SIGTERM, which closes all connections at once, and SIGKILL.
_TERMINATION = 2.0

#: Bytes of HAProxy's words that an error carries: the last ones.
_LAST_WORDS = 64 * 1024


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
        self._master = MasterSocket(run_directory / "master.sock")
        self._arguments = [
            str(haproxy.binary),
            *("-W", "-db", "-S", f"{self._master.path},mode,600", *loading(directory)),
        ]
        self._runner = runner or LocalRunner()
        self._clock = clock or SystemClock()
        self._child: Child | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(grace=0)

    def start(self, timeout: float = 30.0) -> None:
        """Returns when a worker serves. Raises RejectedByHaproxy with its words when it exits, DeadlineExceeded after `timeout` s."""
        if self._child is not None:
            raise SystemFault("this HAProxy has been started before; stop it first")
        since = self._log_size()
        self._child = child = self._runner.start(self._arguments, output=self.log)
        serving = wait_until(lambda: child.exit_code() is not None or self._serves(self._processes()), timeout, self._clock)
        if child.exit_code() is None and serving:
            return
        words = self._words(since)
        self.stop(grace=0)
        if serving:
            raise RejectedByHaproxy("HAProxy did not start", words)
        raise DeadlineExceeded(f"HAProxy did not serve within {timeout:g} s and was stopped; it said:\n{words}")

    def reload(self, timeout: float = 30.0) -> None:
        """Loads the bundle again; returns when a new worker serves. The old one goes on with the connections that it has.

        Raises RejectedByHaproxy when the configuration was refused: the old worker goes on as if nothing had happened. Raises
        DeadlineExceeded after `timeout` s.
        """
        if not self.alive():
            raise SystemFault("HAProxy does not run, so it cannot be reloaded")
        since = self._log_size()
        before = self._master.processes()
        self._master.reload()
        state: Processes | None = None

        def decided() -> bool:
            nonlocal state
            state = self._processes()
            if state is None or state.reloads <= before.reloads:
                return not self.alive()
            return state.failed > 0 or (not set(state.workers) & set(before.workers) and self._serves(state))

        in_time = wait_until(decided, timeout, self._clock)
        if not self.alive():
            raise RejectedByHaproxy("HAProxy exited at a reload", self._words(since))
        if not in_time or state is None:
            raise DeadlineExceeded(f"no new worker of HAProxy serves {timeout:g} s after the reload; it said:\n{self._words(since)}")
        if state.failed > 0:
            raise RejectedByHaproxy("HAProxy did not take the new configuration; the old one serves on", self._words(since))

    def stop(self, grace: float) -> None:
        """Stops HAProxy: no new connections, `grace` seconds for the present ones, then their end. Nothing of it runs afterwards."""
        child, self._child = self._child, None
        if child is None:
            return
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
        return self._words(0)

    def _processes(self) -> Processes | None:
        """The master's answer; None while it has none, as between two program images."""
        try:
            state = self._master.processes()
        except SocketFault:
            return None
        # A socket that another HAProxy left, or still has, says nothing about ours.
        return state if self._child is not None and state.master == self._child.pid else None

    def _serves(self, state: Processes | None) -> bool:
        """Whether it is the current worker that answers on the stats socket."""
        if state is None or not state.workers:
            return False
        try:
            return self.stats.show_info().get("Pid") == str(state.workers[-1])
        except SocketFault:
            return False

    def _log_size(self) -> int:
        return self.log.stat().st_size if self.log.exists() else 0

    def _words(self, since: int) -> str:
        with self.log.open("rb") as log:
            log.seek(max(since, self._log_size() - _LAST_WORDS))
            return log.read(_LAST_WORDS).decode(errors="backslashreplace")
