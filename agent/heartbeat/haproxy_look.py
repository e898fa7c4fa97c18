"""What is seen of the HAProxy of one load balancer: the states of its objects, and the counters of each of its workers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from agent.errors import SocketFault
from agent.heartbeat.counters import Counts, Ledger
from agent.heartbeat.held_worker import HeldWorker, OldWorker
from agent.heartbeat.message import ListenerState, PoolState
from agent.stats_socket import MasterSocket, StatsSocket
from fastpath import stats
from fastpath.stats import Backend, Frontend, Servers

if TYPE_CHECKING:
    from agent.clock import Clock

T = TypeVar("T")

#: Proxies with this in their name serve metrics inside the machine; they are nobody's traffic.
_INTERNAL = "prometheus"

#: The worker says who it is and what it sees over one connection, so the counters are surely its own. Frontends and backends are cheap, servers are
#: what costs (docs/measurements/statistics.md).
_GLIMPSE = "show info;show stat -1 3 -1"
_LOOK = f"{_GLIMPSE};show stat -1 4 -1"

#: From so many servers on, every other look is a glimpse, and at servers of those backends only that have changed, so many at most.
MANY = 5_000
_CHANGED = 20

#: What a backend's row shows of its servers: how many are active and do not, went down, what they weigh.
_SIGNS = ("act", "bck", "chkdown", "weight")


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


class _Answer(NamedTuple):
    """What a worker said. `signs`: what shows of each backend that something about its servers has changed."""

    pid: int
    frontends: list[Frontend]
    backends: list[Backend]
    signs: dict[str, tuple[object, ...]]


class _Last(NamedTuple):
    """What the last look saw; `many`: that the next one may be a glimpse."""

    pid: int = 0
    pools: Mapping[str, PoolState] = {}
    signs: Mapping[str, tuple[object, ...]] = {}
    many: bool = False


class HaproxyLook:
    """Looks at the HAProxy of the load balancer `lb`; what it counts goes into `ledger`. `proc` is where the kernel tells of processes."""

    def __init__(self, lb: str, sockets: Sockets, ledger: Ledger, clock: Clock, *, proc: Path = Path("/proc"), many: int = MANY) -> None:
        self._lb = lb
        self._sockets = sockets
        self._ledger = ledger
        self._clock = clock
        self._proc = proc
        self._many = many
        self._held: dict[str, HeldWorker | OldWorker] = {}
        self._last = _Last()
        self._old: dict[str, dict[str, int]] = {}  # old worker → frontend → connections
        self._ended: list[str] = []

    @property
    def old_workers(self) -> int:
        """Workers that were replaced and still serve connections."""
        return len(self._old)

    def look(self) -> Seen:
        """All of it, from one `show stat` of the worker that serves. Raises NotRunning; SocketFault where there is one that does not answer.

        Where there are many servers, what every other look does not see of them is as the one before saw it.
        """
        seen = self._glimpse() if self._last.many else None
        if seen is None:
            seen = self._ask(_LOOK)
            pools = {backend.name: _pool(backend.status, backend.servers) for backend in seen.backends if _is_pool(backend.name)}
            many = sum(len(pool.members) for pool in pools.values()) >= self._many
            self._last = _Last(seen.pid, pools, seen.signs, many)
        frontends = _ours(seen.frontends)
        self._ledger.see(self._key(seen.pid), _counts(frontends))
        self.follow()
        present = {frontend.name: frontend.scur for frontend in frontends}
        for connections in self._old.values():
            for name in connections.keys() & present.keys():
                present[name] += connections[name]
        return Seen({each.name: ListenerState(each.status, present[each.name]) for each in frontends}, self._last.pools)

    def _glimpse(self) -> _Answer | None:
        """A look at all but servers, and at those of backends that have changed; None where a whole look is better."""
        seen, last = self._ask(_GLIMPSE), self._last
        changed = [backend for backend in seen.backends if seen.signs[backend.name] != last.signs.get(backend.name)]
        if seen.pid != last.pid or seen.signs.keys() != last.signs.keys() or len(changed) > _CHANGED:
            return None
        pools = {**last.pools}
        for backend in changed:
            if backend.name in pools:
                [servers] = self._read(stats.heartbeat, self._answer(f"show stat {backend.name} 4 -1")).backends or [backend]
                pools[backend.name] = _pool(backend.status, servers.servers)
        # The next look is a whole one.
        self._last = _Last(seen.pid, pools, seen.signs)
        return seen

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

    def count(self) -> None:
        """A look at the counters alone, of all workers: before they are ended, for what was counted since the last one."""
        for key, worker in self._held.items():
            with suppress(SocketFault):  # `follow` drops it
                self._ledger.see(key, _counts(_ours(worker.frontends())))

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

    def _ask(self, command: str) -> _Answer:
        """Asks _GLIMPSE or _LOOK."""
        info, _, rest = self._answer(command).partition(b"\n\n")
        # No row of a frontend or backend has an empty line; those of servers may, in what a check was answered.
        few, _, servers = rest.partition(b"\n\n")
        pid = self._read(lambda dump: stats.info(dump, ("Pid",)).numbers["Pid"], info + b"\n\n")
        few += b"\n\n"
        seen = self._read(stats.heartbeat, few)
        columns = self._read(lambda dump: stats.columns(dump, ("pxname", "svname", "status"), _SIGNS), few)
        rows = zip(*columns.texts.values(), *columns.numbers.values(), strict=True)
        signs = {row[0]: tuple(row[2:]) for row in rows if row[1] == "BACKEND"}
        backends = seen.backends
        if servers:
            listed = {backend.name: backend.servers for backend in self._read(stats.heartbeat, servers).backends}
            backends = [backend._replace(servers=listed.get(backend.name, backend.servers)) for backend in backends]
        return _Answer(pid, seen.frontends, backends, signs)

    def _read(self, read: Callable[[bytearray], T], dump: bytearray) -> T:
        try:
            return read(dump)
        except (KeyError, ValueError) as error:
            raise SocketFault(f"{self._sockets.worker[0]}: HAProxy answers what cannot be read: {error}") from error

    def _answer(self, command: str) -> bytearray:
        for path in self._sockets.worker:
            try:
                return StatsSocket(path, clock=self._clock).ask_bytes(command)
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


def _pool(backend_status: str, servers: Servers) -> PoolState:
    # Some versions of HAProxy call a server that drains, which is one of weight 0, UP.
    members = {
        server.name: status if (status := server.status) != "UP" or server.weight else "DRAIN"  # twenty thousand times a beat
        for server in servers
    }
    words = {status: member_status(status) for status in set(members.values())}
    if any(status != word for status, word in words.items()):
        members = {member: words[status] for member, status in members.items()}
    return PoolState(backend_status, members)


def member_status(status: str) -> str:
    """A server's status in the words that the receiver heeds.

    "MAINT (via …)" and "DRAIN (agent)" say why, too; NOLB is a server that has its check say that it wants no new clients.
    """
    if status.startswith("MAINT"):
        return "MAINT"
    return "DRAIN" if status.startswith(("DRAIN", "NOLB")) else status
