"""What is seen of the HAProxy of one load balancer: the states of its objects, and the counters of each of its workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from agent.errors import SocketFault
from agent.heartbeat.counters import Counts, Ledger
from agent.heartbeat.held_worker import HeldWorker, OldWorker
from agent.heartbeat.message import ListenerState, PoolState
from agent.stats_socket import MasterSocket, StatsSocket
from fastpath import stats
from fastpath.stats import Backend, Frontend, Heartbeat

if TYPE_CHECKING:
    from agent.clock import Clock

#: Proxies with this in their name serve metrics inside the machine; they are nobody's traffic.
_INTERNAL = "prometheus"

#: The worker says who it is and what it sees over one connection, so the counters are surely its own.
_LOOK = "show info;show stat -1 7 -1"


class NotRunning(SocketFault):
    """There is no HAProxy behind the socket."""


class Sockets(NamedTuple):
    """Of the worker, in the order in which they are tried, and of the master."""

    worker: tuple[Path, ...]
    master: Path


class Seen(NamedTuple):
    """The states that a message tells; counters go into the ledger."""

    listeners: Mapping[str, ListenerState]
    pools: Mapping[str, PoolState]


class HaproxyLook:
    """Looks at the HAProxy of the load balancer `lb`; what it counts goes into `ledger`. `proc` is where the kernel tells of processes."""

    def __init__(self, lb: str, sockets: Sockets, ledger: Ledger, clock: Clock, proc: Path = Path("/proc")) -> None:
        self._lb = lb
        self._sockets = sockets
        self._ledger = ledger
        self._clock = clock
        self._proc = proc
        self._held: dict[str, HeldWorker | OldWorker] = {}
        self._old: dict[str, dict[str, int]] = {}  # old worker → frontend → connections
        self._ended: list[str] = []

    @property
    def old_workers(self) -> int:
        """Workers that were replaced and still serve connections."""
        return len(self._old)

    def look(self) -> Seen:
        """All of it, from one `show stat` of the worker that serves. Raises NotRunning; SocketFault where there is one that does not answer."""
        pid, seen = self._ask()
        frontends = _ours(seen.frontends)
        self._ledger.see(self._key(pid), _counts(frontends))
        self.follow()
        present = {frontend.name: frontend.scur for frontend in frontends}
        for connections in self._old.values():
            for name in connections.keys() & present.keys():
                present[name] += connections[name]
        listeners = {frontend.name: ListenerState(frontend.status, present[frontend.name]) for frontend in frontends}
        return Seen(listeners, {backend.name: _pool(backend) for backend in seen.backends if _is_pool(backend.name)})

    def follow(self) -> bool:
        """Attends to workers that come and go; whether one has ended, which `let_go` lets exit after the ledger is safe."""
        self._old = {}
        serving = False
        for key, worker in list(self._held.items()):
            try:
                life = worker.life()
                if life.stopping:
                    self._see_old(key, worker.frontends())
                    if life.idle and key not in self._ended:
                        self._ended.append(key)
                serving = serving or not life.stopping
            except SocketFault:
                # It has been killed, or stopped the hard way.
                self._drop(key)
        if not serving:
            self._hold()
        return bool(self._ended)

    def let_go(self) -> None:
        """Lets workers exit that have nothing to do any more."""
        for key in self._ended:
            self._drop(key)
        self._ended.clear()

    def close(self) -> None:
        """Lets all workers go, also those that still have something to do."""
        for worker in self._held.values():
            worker.close()
        self._held.clear()

    def _ask(self) -> tuple[int, Heartbeat]:
        answer = self._answer()
        info, separator, dump = answer.partition(b"\n\n")
        try:
            return stats.info(info + separator, ("Pid",)).numbers["Pid"], stats.heartbeat(dump)
        except (KeyError, ValueError) as error:
            raise SocketFault(f"{self._sockets.worker[0]}: `{_LOOK}` answers what cannot be read: {error}") from error

    def _answer(self) -> bytearray:
        for path in self._sockets.worker:
            try:
                return StatsSocket(path, clock=self._clock).ask_bytes(_LOOK)
            except SocketFault as error:
                if not isinstance(error.__cause__, ConnectionRefusedError | FileNotFoundError):
                    raise
        raise NotRunning(f"no HAProxy answers at {' or '.join(map(str, self._sockets.worker))}")

    def _see_old(self, key: str, frontends: Sequence[Frontend]) -> None:
        ours = _ours(frontends)
        self._ledger.see(key, _counts(ours))
        self._old[key] = {frontend.name: frontend.scur for frontend in ours}

    def _drop(self, key: str) -> None:
        self._held.pop(key).close()
        self._old.pop(key, None)
        self._ledger.finish(key)

    def _hold(self) -> None:
        """Holds the worker that serves now, and looks for old ones."""
        for path in self._sockets.worker:
            try:
                worker = HeldWorker(path, self._clock)
            except SocketFault:
                continue  # `look` tells whoever wants to know
            key = self._key(worker.pid)
            if key in self._held:
                worker.close()
                return
            self._held[key] = worker
            self._hold_others()
            return

    def _hold_others(self) -> None:
        """Old workers that are there already: nobody has held them so far."""
        try:
            present = {self._key(pid): pid for pid in MasterSocket(self._sockets.master, clock=self._clock).processes().old_workers}
        except SocketFault:
            return  # this HAProxy has no master
        for key in self._ledger.seen.keys() - present.keys() - self._held.keys():
            if key.startswith(f"{self._lb}/"):
                self._ledger.finish(key)
        for key in present.keys() - self._held.keys():
            with suppress(SocketFault):  # it has gone
                self._held[key] = OldWorker(self._sockets.master, present[key], self._clock)
                self._see_old(key, self._held[key].frontends())

    def _key(self, pid: int) -> str:
        """A worker's name that no other one ever has: process ids come again, with another start."""
        try:
            words = (self._proc / str(pid) / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        except OSError:
            return f"{self._lb}/{pid}"
        return f"{self._lb}/{pid}/{words[19]}"


def _ours(frontends: Sequence[Frontend]) -> list[Frontend]:
    return [frontend for frontend in frontends if _INTERNAL not in frontend.name]


def _counts(frontends: Sequence[Frontend]) -> dict[str, Counts]:
    return {each.name: Counts(each.bin, each.bout, each.stot, each.ereq) for each in frontends}


def _is_pool(name: str) -> bool:
    return name.count(":") == 1 and _INTERNAL not in name


def _pool(backend: Backend) -> PoolState:
    # Some versions of HAProxy call a server that drains, which is one of weight 0, UP.
    return PoolState(
        backend.status,
        {server.name: "DRAIN" if server.status == "UP" and server.weight == 0 else server.status for server in backend.servers},
    )
