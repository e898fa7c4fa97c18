"""Load as clients make it: so many requests a second, each over a connection of its own, begun on time whether the last ones were answered or not.

Each answer says who forwarded the request (a member sees the amphora's address), so what is recorded was seen, not concluded.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import time
from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

#: Seconds after which a request has failed. A connection that meets nobody is tried again by the kernel after 1 and 3 seconds.
_PATIENCE = 10.0


class Aim(NamedTuple):
    """Where requests go: addresses of the VIPs and their port, in turn; what is asked for; where they come from, in turn."""

    addresses: Sequence[str]
    port: int
    sources: Sequence[str] = ()
    host: str = "lab.example"
    path: str = "/"


class Result(msgspec.Struct, frozen=True, array_like=True):
    """A request. Times in seconds since the load began. `error`: "" where it was answered with 200; `by`: the amphora that forwarded it."""

    began: float
    ended: float
    error: str
    by: str
    member: str


class Load:
    """Makes requests in the calling thread's namespace. `amphorae`: the address that members see → amphora. `results` grows meanwhile."""

    def __init__(self, aim: Aim, amphorae: Mapping[str, str], rate: float) -> None:
        self._aim = aim
        self._amphorae = amphorae
        self._rate = rate
        self.results: list[Result] = []
        self.began_at = 0.0
        self._began = 0.0
        self._stopping = False

    def run(self, seconds: float, each: Callable[[float], None] | None = None) -> list[Result]:
        """Goes on for so long, or until `stop`, and until what was begun has ended; `each` is called with the time at every request."""
        asyncio.run(self._go_on(seconds, each))
        return self.results

    def stop(self) -> None:
        """Begins no more requests. May be called from any thread."""
        self._stopping = True

    async def _go_on(self, seconds: float, each: Callable[[float], None] | None) -> None:
        self.began_at, self._began = time.time(), time.monotonic()
        tasks: set[asyncio.Task[None]] = set()
        sources = itertools.cycle(self._aim.sources or [""])
        addresses = itertools.cycle(self._aim.addresses)
        for number in range(int(seconds * self._rate)):
            wait = number / self._rate - self.now()
            # Also where it is late: answers must be read.
            await asyncio.sleep(max(wait, 0))
            if self._stopping:
                break
            address = next(addresses)
            source = next((one for one in itertools.islice(sources, 200) if not one or (":" in one) == (":" in address)), "")
            task = asyncio.create_task(self._ask(address, source))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            if each is not None:
                each(self.now())
        if tasks:
            await asyncio.wait(tasks)

    async def _ask(self, address: str, source: str) -> None:
        began = self.now()
        error, by, member = "", "", ""
        try:
            async with asyncio.timeout(_PATIENCE):
                status, body = await self._exchange(address, source)
            told = json.loads(body) if status == 200 else {}
            by = self._amphorae.get(told.get("arrival", {}).get("peer", ""), "")
            member = told.get("name", "")
            error = "" if status == 200 else f"status {status}"
        except TimeoutError:
            error = "no answer"
        except (OSError, ValueError, IndexError, asyncio.IncompleteReadError) as failed:
            error = "broken off" if isinstance(failed, (ConnectionResetError, ValueError, IndexError)) else str(failed)
        self.results.append(Result(began, self.now(), error, by, member))

    async def _exchange(self, address: str, source: str) -> tuple[int, bytes]:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM) as asking:
            asking.setblocking(False)
            if source:
                asking.bind((source, 0))
            await loop.sock_connect(asking, (address, self._aim.port))
            request = f"GET {self._aim.path} HTTP/1.1\r\nHost: {self._aim.host}\r\nConnection: close\r\n\r\n"
            await loop.sock_sendall(asking, request.encode())
            answer = b""
            while chunk := await loop.sock_recv(asking, 65536):
                answer += chunk
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split(b" ", 2)[1]), body

    def now(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._began


class Summary(msgspec.Struct, frozen=True):
    """Requests, those that failed, by error; the slowest answer; the longest time in which no answer came, with when it began: seconds."""

    requests: int
    failed: int
    errors: dict[str, int]
    by: dict[str, int]
    slowest: float
    longest_gap: float
    gap_began: float


def summary(results: Sequence[Result]) -> Summary:
    """What came of all of them."""
    errors: dict[str, int] = {}
    by: dict[str, int] = {}
    for one in results:
        if one.error:
            errors[one.error] = errors.get(one.error, 0) + 1
        else:
            by[one.by] = by.get(one.by, 0) + 1
    answered = sorted(one.ended for one in results if not one.error)
    gap, began = max(((after - before, before) for before, after in itertools.pairwise(answered)), default=(0.0, 0.0))
    return Summary(
        requests=len(results),
        failed=sum(errors.values()),
        errors=errors,
        by=by,
        slowest=max((one.ended - one.began for one in results if not one.error), default=0.0),
        longest_gap=gap,
        gap_began=began,
    )


def outage(results: Sequence[Result], since: float) -> float | None:
    """Seconds from a moment until the first answer to a request that was begun after it; None where none was."""
    ended = [one.ended for one in results if not one.error and one.began >= since]
    return min(ended) - since if ended else None


#: Seconds: an answer that takes as long as this has come by way of a second attempt of the client's kernel, which waits for one.
_LATE = 0.9


class Silence(NamedTuple):
    """A time in which requests were begun in vain: they failed, or were answered at a second attempt. It ends with the first one that was not."""

    begin: float
    end: float

    @property
    def seconds(self) -> float:
        """How long that was."""
        return self.end - self.begin


def silence(results: Sequence[Result], since: float) -> Silence:
    """The longest one from a moment on; one of no length where there is none."""
    longest, first, last = Silence(since, since), None, since
    for one in sorted(results, key=lambda one: one.began):
        if one.began < since:
            continue
        last = one.began
        if one.error or one.ended - one.began >= _LATE:
            first = one.began if first is None else first
        elif first is not None:
            longest, first = max(longest, Silence(first, one.began), key=lambda one: one.seconds), None
    return longest if first is None else max(longest, Silence(first, last), key=lambda one: one.seconds)
