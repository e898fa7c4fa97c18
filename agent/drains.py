"""`Drains`: members that are to get no new clients, each with a time at which the connections that it still has are ended.

They are not part of a configuration: a reload would forget them, so they are told again to each new worker. An agent that is started anew
forgets them; HAProxy does not, until its next reload.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Literal

import structlog

from agent.errors import AgentError, CommandRefused, InvalidRequest, NotFoundError
from agent.outcomes import Drain

if TYPE_CHECKING:
    from agent.clock import Clock
    from agent.haproxies import Haproxies

_LOG = structlog.get_logger("agent.drains")

#: Seconds: the longest deadline; between two looks.
LONGEST = 7 * 24 * 3600.0
_BETWEEN = 1.0


class _Order:
    def __init__(self, until: float) -> None:
        self.until = until
        self.ended = False


class Drains:
    """All load balancers'. Raises AgentError."""

    def __init__(self, haproxies: Haproxies, clock: Clock) -> None:
        self._haproxies = haproxies
        self._clock = clock
        self._guard = threading.Lock()
        self._orders: dict[tuple[str, str], _Order] = {}
        self._thread: threading.Thread | None = None

    def start(self, lb: str, member: str, deadline: float) -> Drain:
        """Gives a member no new clients from now on. `deadline` in seconds; another one takes the place of what was said before."""
        if not 0 <= deadline <= LONGEST:
            raise InvalidRequest(f"deadline: {deadline:g} given; 0 to {LONGEST:g} seconds are allowed")
        with self._haproxies.locks(lb):
            self._tell(lb, member, "drain")
        with self._guard:
            self._orders[lb, member] = _Order(self._clock.monotonic() + deadline)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="drains", daemon=True)
                self._thread.start()
        return self.progress(lb, member)

    def cancel(self, lb: str, member: str) -> None:
        """The member gets its share again. Raises NotFoundError where it is not drained."""
        with self._guard:
            if self._orders.pop((lb, member), None) is None:
                raise NotFoundError(f"member {member} of load balancer {lb} is not drained")
        with self._haproxies.locks(lb):
            self._tell(lb, member, "ready")

    def progress(self, lb: str, member: str) -> Drain:
        """How far it has come. Raises NotFoundError where it is not drained."""
        with self._guard:
            order = self._orders.get((lb, member))
        if order is None:
            raise NotFoundError(f"member {member} of load balancer {lb} is not drained")
        connections = sum(self._servers(lb, member).values())
        state: Literal["draining", "drained", "ended"] = "draining" if connections else "ended" if order.ended else "drained"
        left = max(order.until - self._clock.monotonic(), 0.0)
        return Drain(loadbalancer=lb, member=member, state=state, connections=connections, left=round(left, 1))

    def follow(self) -> None:
        """Another worker may serve: it is told, too."""
        with self._guard:
            orders = list(self._orders)
        for lb, member in orders:
            try:
                self._tell(lb, member, "drain")
            except NotFoundError:
                with self._guard:
                    self._orders.pop((lb, member), None)
            except AgentError as error:
                _LOG.warning("a member cannot be drained any more", loadbalancer=lb, member=member, error=str(error))

    def _watch(self) -> None:
        while True:
            self._clock.sleep(_BETWEEN)
            with self._guard:
                due = [(key, order) for key, order in self._orders.items() if not order.ended and order.until <= self._clock.monotonic()]
            for (lb, member), order in due:
                try:
                    for server in self._servers(lb, member):
                        self._haproxies.stats(lb).ask(f"shutdown sessions server {server}")
                    order.ended = True
                except AgentError as error:
                    _LOG.warning("connections of a drained member cannot be ended", loadbalancer=lb, member=member, error=str(error))
                    order.ended = isinstance(error, NotFoundError)

    def _tell(self, lb: str, member: str, state: str) -> None:
        for server in self._servers(lb, member):
            answer = self._haproxies.stats(lb).ask(f"set server {server} state {state}").strip()
            if answer:
                raise CommandRefused(f"HAProxy does not let {server} be in the state {state}: {answer}")

    def _servers(self, lb: str, member: str) -> dict[str, int]:
        """Backend/server → connections, wherever the member is used. Raises NotFoundError."""
        if self._haproxies.status(lb) != "ACTIVE":
            raise NotFoundError(f"load balancer {lb} does not serve")
        rows = self._haproxies.stats(lb).show_stat(("pxname", "svname", "scur"))
        found = {f"{row['pxname']}/{row['svname']}": int(row["scur"] or 0) for row in rows if row["svname"] == member}
        if not found:
            raise NotFoundError(f"load balancer {lb} has no member {member}")
        return found
