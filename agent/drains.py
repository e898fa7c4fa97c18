"""`Drains`: members that are to get no new clients, each with a time at which the connections that it still has are ended.

They are not part of a configuration: a reload would forget them, so they are told again to each new worker. They are kept in a file, so
that an agent that is started anew goes on with them; the end of the machine's uptime is theirs.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Literal

import structlog

from agent import drain_record
from agent.drain_record import Order
from agent.errors import AgentError, CommandRefused, InvalidRequest, NotFoundError
from agent.outcomes import Drain

if TYPE_CHECKING:
    from pathlib import Path

    from agent.clock import Clock
    from agent.haproxies import Haproxies

_LOG = structlog.get_logger("agent.drains")

#: Seconds: the longest deadline; between two looks.
LONGEST = 7 * 24 * 3600.0
_BETWEEN = 1.0


class Drains:
    """All load balancers', kept in `file`. Raises AgentError."""

    def __init__(self, haproxies: Haproxies, clock: Clock, file: Path) -> None:
        self._haproxies = haproxies
        self._clock = clock
        self._file = file
        self._guard = threading.Lock()
        self._orders: dict[tuple[str, str], Order] = {}
        self._thread: threading.Thread | None = None
        self._closed = False

    def close(self) -> None:
        """Looks no more, as when the agent ends; drains go on."""
        self._closed = True
        if self._thread is not None:
            self._thread.join()

    def start(self, lb: str, member: str, deadline: float) -> Drain:
        """Gives a member no new clients from now on. `deadline` in seconds; another one takes the place of what was said before."""
        if not 0 <= deadline <= LONGEST:
            raise InvalidRequest(f"deadline: {deadline:g} given; 0 to {LONGEST:g} seconds are allowed")
        with self._haproxies.locks(lb):
            self._tell(lb, member, "drain")
        with self._guard:
            self._orders[lb, member] = Order(lb, member, self._clock.monotonic() + deadline, told=True)
            self._keep()
            self._begin()
        return self.progress(lb, member)

    def restore(self) -> list[str]:
        """Goes on with what the last agent was told; what did not go well, in words. A deadline that has passed meanwhile is due now."""
        try:
            orders = drain_record.read(self._file)
        except (AgentError, OSError) as error:
            return [f"members that are drained are forgotten: {error}"]
        with self._guard:
            for order in orders:
                # Nobody can have given more; HAProxy may have been started anew while no agent was there.
                order.until, order.told = min(order.until, self._clock.monotonic() + LONGEST), False
                self._orders.setdefault((order.loadbalancer, order.member), order)
            if orders:
                self._begin()
        return []

    def cancel(self, lb: str, member: str) -> None:
        """The member gets its share again. Raises NotFoundError where it is not drained."""
        with self._guard:
            if self._orders.pop((lb, member), None) is None:
                raise NotFoundError(f"member {member} of load balancer {lb} is not drained")
            self._keep()
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
            orders = list(self._orders.values())
        for order in orders:
            order.told = False
            self._tell_again(order)

    def _watch(self) -> None:
        while not self._closed:
            self._clock.sleep(_BETWEEN)
            with self._guard:
                orders = list(self._orders.values())
            for order in orders:
                if not order.told:
                    self._tell_again(order)
                if not order.ended and order.until <= self._clock.monotonic():
                    self._end(order)

    def _end(self, order: Order) -> None:
        lb, member = order.loadbalancer, order.member
        try:
            for server in self._servers(lb, member):
                self._haproxies.stats(lb).ask(f"shutdown sessions server {server}")
        except NotFoundError:
            pass  # there are none
        except AgentError as error:
            _LOG.warning("connections of a drained member cannot be ended", loadbalancer=lb, member=member, error=str(error))
            return
        with self._guard:
            order.ended = True
            self._keep()

    def _tell_again(self, order: Order) -> None:
        lb, member = order.loadbalancer, order.member
        if self._haproxies.status(lb) == "ERROR":
            return  # it should serve, and will be told when it does
        try:
            self._tell(lb, member, "drain")
            order.told = True
        except NotFoundError:
            with self._guard:
                if self._orders.get((lb, member)) is order:
                    del self._orders[lb, member]
                    self._keep()
        except AgentError as error:
            _LOG.warning("a member cannot be drained any more", loadbalancer=lb, member=member, error=str(error))

    def _begin(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="drains", daemon=True)
            self._thread.start()

    def _keep(self) -> None:
        """Has the next agent know, as far as the disk lets it: what is asked for is done all the same."""
        try:
            drain_record.write(self._file, list(self._orders.values()))
        except OSError as error:
            _LOG.error("members that are drained cannot be kept for the next agent", file=str(self._file), error=str(error))

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
