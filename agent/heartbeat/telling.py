"""`Teller`: the pools of a beat in datagrams of a size that can be sent, such that the receiver marks nothing wrong.

What forces the shape (`octavia.amphorae.drivers.health.heartbeat_udp`, release 19): every message is taken for the whole truth. A pool that is
not in it becomes OFFLINE, a member that is not in its pool OFFLINE; from the members that are, the states of pools and of the load balancer
follow. So pools cannot be spread over messages, and members neither, with one exception: **a member that the database knows as NO_MONITOR and
that is left out stays as it is**. So does one that is administratively down (MAINT), which is OFFLINE anyway. Those may *rest*: they are told when their
status has changed, and from then on in turns, so that a datagram that was lost does not matter for long.

From small to large:

1. All is told, as Octavia's own sender would, while that takes no more than `comfort` bytes.
2. A pool that several listeners use is told once (the receiver takes the last one only), and members that may rest do.
3. A member takes some 20 bytes that no compression can save, its id; so more than some 3 200 members with monitors do not fit into a datagram
   however it is made. Then, in the largest pools, those that are up are told as "no check": their operating status reads NO_MONITOR instead of ONLINE,
   and they may rest. Members that are down or draining, pools, listeners and the load balancer stay exact.
4. If even what must not rest is too much, members that are down are left out and read OFFLINE instead of ERROR; one in each pool stays, so
   that its pool's state is right.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from itertools import chain, islice
from typing import NamedTuple

from agent.heartbeat.message import LARGEST, Pools, PoolState

#: Bytes that a datagram has at most as long as anything in it can rest: a dozen fragments of an Ethernet.
COMFORT = 16_384

#: Datagrams of one beat, at most.
_MOST = 8

#: How often a status is told with precedence: any datagram may be lost.
_TIMES = 3

#: Datagrams that may be needed before each member that may rest was told once. (Each has all that must not rest in it.)
_FIRST_ROUND = 8

#: Members that have their turn in a beat, also where what must not rest is more than `comfort`.
_TURNS = 100

# What things take in a datagram, in bytes; a UUID is 122 random bits.
_BASE, _LISTENER, _POOL, _MEMBER = 200, 45, 46, 22.6

#: The part of a datagram to be filled by what must be in it before pools become coarse, and to which it must fall before they are exact again.
_HIGH, _LOW = 0.95, 0.8

#: The part of a datagram that members which rest have in any case.
_ROOM = 0.25

NO_CHECK = "no check"
MAINT = "MAINT"


class Part(NamedTuple):
    """One datagram. `rested`: the members that it tells and might have left out, with their statuses."""

    datagram: bytes
    rested: Mapping[str, str]


#: Makes a datagram of pools; the number says which of the beat's it is.
Seal = Callable[[Pools, int], bytes]


class _Plan(NamedTuple):
    """What must be in every datagram, and what may rest: member → pool, and member → status."""

    always: dict[str, PoolState]
    place: dict[str, str]
    resting: dict[str, str]
    cut: int


class Teller:
    """Remembers what it has told. `limit` and `comfort` in bytes of a datagram."""

    def __init__(self, limit: int = LARGEST, comfort: int = COMFORT) -> None:
        self.limit = limit
        self.comfort = min(comfort, limit)
        #: Pools whose members that are up are told as "no check".
        self.coarse: set[str] = set()
        #: Members that the last beat could not tell at all.
        self.cut = 0
        self._measured = 1.0  # bytes for each estimated one
        self._told: dict[str, str] = {}  # longest ago first
        self._again: dict[str, int] = {}
        self._before: Pools = {}

    def parts(self, listeners: int, pools: Pools, seal: Seal) -> Iterator[Part]:
        """The datagrams of a beat. What comes back through `sent` is not told again before its turn."""
        members = sum(len(pool.members) for pool in pools.values())
        self.cut = 0
        if self._estimate(listeners, len(pools), members) <= self.comfort * 1.5:
            datagram = seal(pools, 0)
            if len(datagram) <= self.comfort:
                self._forget()
                self._before = pools
                yield Part(datagram, {})
                return
        plan = self._plan(listeners, pools)
        self.cut = plan.cut
        yield from self._spread(listeners, plan, seal)
        self._before = pools

    def sent(self, part: Part) -> None:
        """A part has been sent."""
        for member, status in part.rested.items():
            if self._told.pop(member, None) != status:
                self._again.pop(member, None)
                self._again[member] = _TIMES
            self._told[member] = status
            if member in self._again:
                self._again[member] -= 1
                if not self._again[member]:
                    del self._again[member]

    def lost(self, part: Part) -> None:
        """A part that was sent has come back."""
        for member in part.rested:
            self._told.pop(member, None)

    def _forget(self) -> None:
        self.coarse.clear()
        self._told.clear()
        self._again.clear()

    def _estimate(self, listeners: int, pools: int, members: int) -> float:
        return (_BASE + _LISTENER * listeners + _POOL * pools + _MEMBER * members) * self._measured

    def _room(self, size: int, listeners: int, pools: int, members: int) -> int:
        """How many more members a datagram of `size` bytes has room for."""
        return max(int((size - self._estimate(listeners, pools, members)) / (_MEMBER * self._measured)), 0)

    def _plan(self, listeners: int, pools: Pools) -> _Plan:
        once = {name.partition(":")[0]: (name, pool) for name, pool in pools.items()}
        counts = {key: Counter(pool.members.values()) for key, (_, pool) in once.items()}
        healthy = {key: sum(number for status, number in each.items() if status.startswith("UP")) for key, each in counts.items()}
        idle = sum(each[NO_CHECK] + each[MAINT] for each in counts.values())
        needed = sum(each.total() for each in counts.values()) - idle
        if self._estimate(listeners, len(once), needed) <= self.limit * _LOW:
            self.coarse.clear()
        self.coarse &= once.keys()
        rested = sum(healthy[key] for key in self.coarse)
        for key in sorted(healthy, key=lambda key: (-healthy[key], key)):
            waiting = (idle + rested) / _FIRST_ROUND if rested else 0
            if self._estimate(listeners, len(once), needed - rested + int(waiting)) <= self.limit * _HIGH or not healthy[key]:
                break
            if key not in self.coarse:
                self.coarse.add(key)
                rested += healthy[key]
        always: dict[str, PoolState] = {}
        place: dict[str, str] = {}
        resting: dict[str, str] = {}
        for key, (name, pool) in once.items():
            told = {status: _rest(status, coarse=key in self.coarse) for status in counts[key]}
            rests = {member: rest for member, status in pool.members.items() if (rest := told[status]) is not None}
            kept = {member: status for member, status in pool.members.items() if told[status] is None} if rests else pool.members
            resting |= rests
            place |= dict.fromkeys(rests, name)
            always[name] = PoolState(pool.status, kept)
        cut = self._cut(listeners, always, len(resting))
        return _Plan(always, place, resting, cut)

    def _cut(self, listeners: int, always: dict[str, PoolState], resting: int) -> int:
        """Takes out members that are down, as many as are too many, but one in each pool; how many."""
        members = sum(len(pool.members) for pool in always.values())
        # What rests must find room, too.
        size = self.limit * _HIGH - min(resting / _FIRST_ROUND * _MEMBER, self.limit * _ROOM)
        excess = -int((size - self._estimate(listeners, len(always), members)) / (_MEMBER * self._measured))
        cut = 0
        for name, pool in sorted(always.items(), key=lambda item: -len(item[1].members)):
            if cut >= excess:
                break
            down = [member for member, status in pool.members.items() if status.startswith("DOWN")]
            gone = set(down[1 : 1 + excess - cut])
            always[name] = PoolState(pool.status, {member: status for member, status in pool.members.items() if member not in gone})
            cut += len(gone)
        return cut

    def _spread(self, listeners: int, plan: _Plan, seal: Seal) -> Iterator[Part]:
        if self._told == plan.resting:
            fresh = []
        else:
            self._told = {member: status for member, status in self._told.items() if member in plan.resting}
            self._again = {member: times for member, times in self._again.items() if member in plan.resting}
            fresh = [member for member, status in plan.resting.items() if self._told.get(member) != status]
        if self._before and len(fresh) > 1:
            # What the database has as ONLINE must be told before it is left out; what is new there is OFFLINE, and may wait.
            known = set(chain.from_iterable(pool.members for pool in self._before.values()))
            fresh.sort(key=lambda member: member not in known)
        always = sum(len(pool.members) for pool in plan.always.values())
        begun = 0
        for number in range(_MOST):
            news = len(fresh) - begun
            comfort = max(self.comfort, int(self._estimate(listeners, len(plan.always), always + _TURNS)))
            size = min(comfort if news <= self._room(comfort, listeners, len(plan.always), always) else self.limit, self.limit)
            room = self._room(int(size * 0.98), listeners, len(plan.always), always)
            chosen = fresh[begun : begun + room]
            if len(chosen) == news:
                # What changed last is what matters most.
                turns = chain(reversed(self._again), self._told)
                wanted = dict.fromkeys(chain(chosen, islice(turns, 2 * room)))
                chosen = list(islice(wanted, room))
            part = self._fitting(listeners, plan, chosen, seal, number)
            # A datagram that has room for nothing more can only say what must always be said.
            progress = len(part.rested) if room else news
            begun += min(progress, news)
            yield part
            if begun >= len(fresh):
                return

    def _fitting(self, listeners: int, plan: _Plan, chosen: list[str], seal: Seal, number: int) -> Part:
        """A datagram with these members; with fewer where they turn out to be too many."""
        while True:
            extra: dict[str, dict[str, str]] = defaultdict(dict)
            for member in chosen:
                extra[plan.place[member]][member] = plan.resting[member]
            pools = {
                name: PoolState(pool.status, {**pool.members, **extra[name]}) if name in extra else pool
                for name, pool in plan.always.items()
            }
            datagram = seal(pools, number)
            members = sum(len(pool.members) for pool in pools.values())
            if members > 1000:
                self._measured *= len(datagram) / self._estimate(listeners, len(pools), members)
            if len(datagram) <= self.limit or not chosen:
                return Part(datagram, {member: plan.resting[member] for member in chosen})
            chosen = chosen[: int(len(chosen) * 0.9 * self.limit / len(datagram))]


def _rest(status: str, *, coarse: bool) -> str | None:
    """What a member that may rest is told as; None for one that may not."""
    if status in (NO_CHECK, MAINT):
        return status
    return NO_CHECK if coarse and status.startswith("UP") else None
