"""`RunningHaproxy`: an HAProxy in master-worker mode, whoever started it, judged by its two sockets and never by its words.

The words are for the errors: they tell a person what HAProxy itself says about why it did not go well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent.clock import Clock, wait_until
from agent.errors import DeadlineExceeded, HaproxyExited, RejectedByHaproxy, SocketFault, SystemFault
from fastpath import stats

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.log_file import Words
    from agent.stats_socket import MasterSocket, Processes, StatsSocket


class OldWorker(NamedTuple):
    """A worker that a reload has replaced and that goes on with the `connections` it has; `uptime` in seconds since it was started."""

    pid: int
    uptime: int
    connections: int


#: Seconds that an old worker may take until it hears that it is to stop.
_LAST_CONNECTIONS = 2.0


class RunningHaproxy:
    """`pid` gives the master's process id, None when it does not run. `worker` is a stats socket, at any level."""

    def __init__(self, master: MasterSocket, worker: StatsSocket, pid: Callable[[], int | None], words: Words, clock: Clock) -> None:
        self._worker = worker
        self._master = master
        self._pid = pid
        self._words = words
        self._clock = clock

    def processes(self) -> Processes | None:
        """The master's answer; None while it has none, as between two program images."""
        try:
            state = self._master.processes()
        except SocketFault:
            return None
        # A socket that another HAProxy left, or still has, says nothing about ours.
        return state if state.master == self._pid() else None

    def serves(self) -> bool:
        """Whether it runs, and its current worker answers."""
        return self._answers(self.processes())

    def old_workers(self) -> list[OldWorker]:
        """Those that still have something to do."""
        state = self.processes()
        found = []
        for pid in state.old_workers if state else ():
            try:
                said = stats.info(self._master.ask_bytes(f"@!{pid} show info")).texts
                found.append(OldWorker(pid, int(said["Uptime_sec"]), int(said["CurrConns"])))
            except (SocketFault, ValueError, KeyError):
                continue  # it has just ended
        return found

    def await_worker(self, since: str, timeout: float) -> None:
        """Returns when a worker serves; `since` is where its words ended before it was started.

        Raises HaproxyExited when it exits first, DeadlineExceeded after `timeout` s. It is the caller's then to stop it.
        """
        pid = self._pid()
        serving = wait_until(lambda: pid is None or self._pid() != pid or self.serves(), timeout, self._clock)
        if pid is None or self._pid() != pid:
            raise HaproxyExited("HAProxy did not start", self._words.since(since))
        if not serving:
            raise DeadlineExceeded(f"HAProxy did not serve within {timeout:g} s; it said:\n{self._words.since(since)}")

    def reload(self, timeout: float) -> None:
        """Has it load its configuration again; returns when a new worker serves. The old one goes on with the connections that it has.

        Raises RejectedByHaproxy when the configuration was refused: the old worker goes on as if nothing had happened. Raises
        HaproxyExited when it did not survive the attempt, DeadlineExceeded after `timeout` s.
        """
        pid = self._pid()
        if pid is None:
            raise SystemFault("HAProxy does not run, so it cannot be reloaded")
        since = self._words.position()
        before = self._master.processes()
        self._master.reload()
        state: Processes | None = None

        def decided() -> bool:
            nonlocal state
            state = self.processes()
            if state is None or state.reloads <= before.reloads:
                return self._pid() != pid
            return state.failed > 0 or (not set(state.workers) & set(before.workers) and self._answers(state))

        in_time = wait_until(decided, timeout, self._clock)
        if self._pid() != pid:
            raise HaproxyExited("HAProxy exited at a reload", self._words.since(since))
        if not in_time or state is None:
            raise DeadlineExceeded(f"no new worker of HAProxy serves {timeout:g} s after the reload; it said:\n{self._words.since(since)}")
        if state.failed > 0:
            raise RejectedByHaproxy("HAProxy did not take the new configuration; the old one serves on", self._words.since(since))
        # Both have the listening sockets. Until the old one has heard that it is to stop, it takes new connections too.
        wait_until(lambda: not any(map(self._takes_connections, before.workers)), _LAST_CONNECTIONS, self._clock)

    def _takes_connections(self, worker: int) -> bool:
        try:
            return stats.info(self._master.ask_bytes(f"@!{worker} show info")).texts.get("Stopping") == "0"
        except (SocketFault, ValueError):
            return False  # it has ended

    def _answers(self, state: Processes | None) -> bool:
        """Whether it is the current worker that answers on the stats socket."""
        if state is None or not state.workers:
            return False
        try:
            return self._worker.show_info().get("Pid") == str(state.workers[-1])
        except SocketFault:
            return False
