"""`Leaving`: servers that are configured no more, get nothing new, and still have connections. They are removed when these have ended.

A reload would have left them to an old worker; here the worker goes on, so they are looked at now and then until a limit, as an old worker's.
"""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING

import structlog

from agent.clock import Clock, wait_until
from agent.errors import AgentError, CommandRefused
from agent.runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.locks import Locks
    from agent.stats_socket import StatsSocket
    from compiler.changes import Command

_LOG = structlog.get_logger("agent.leaving")

#: Seconds for which a change waits itself; seconds between two looks afterwards, and until connections are ended.
_AT_ONCE = 0.5
_BETWEEN = 1.0
_LIMIT = 3600.0


class _Removal:
    def __init__(self, lb: str, stats: StatsSocket, worker: str, commands: list[Command], until: float) -> None:
        self.lb = lb
        self.stats = stats
        self.worker = worker
        self.commands = commands
        self.until = until


class Leaving:
    """All load balancers'. `locks` are held while something is removed."""

    def __init__(self, locks: Locks, clock: Clock) -> None:
        self._locks = locks
        self._clock = clock
        self._guard = threading.Lock()
        self._removals: list[_Removal] = []
        self._thread: threading.Thread | None = None

    def remove(self, lb: str, stats: StatsSocket, commands: Sequence[Command], limit: float | None = None) -> None:
        """Executes commands that are in place when connections have ended: those that can be at once, the others later.

        Raises CommandRefused where HAProxy has another reason than connections, SocketFault.
        """
        left = list(commands)

        def done() -> bool:
            left[:] = [command for command in left if not _executed(stats, command)]
            return not left

        if not wait_until(done, _AT_ONCE, self._clock):
            until = self._clock.monotonic() + (_LIMIT if limit is None else limit)
            with self._guard:
                self._removals.append(_Removal(lb, stats, stats.show_info().get("Pid", ""), left, until))
                if self._thread is None:
                    self._thread = threading.Thread(target=self._go_on, name="leaving", daemon=True)
                    self._thread.start()

    def of(self, lb: str) -> dict[str, int]:
        """Server, as backend/server → the connections that it has."""
        with self._guard:
            removals = [removal for removal in self._removals if removal.lb == lb]
        names = {command.text.split()[-1] for removal in removals for command in removal.commands if command.patient}
        if not names:
            return {}
        rows = removals[0].stats.show_stat(("pxname", "svname", "scur"))
        return {name: int(row["scur"] or 0) for row in rows if (name := f"{row['pxname']}/{row['svname']}") in names}

    def _go_on(self) -> None:
        while True:
            self._clock.sleep(_BETWEEN)
            with self._guard:
                removals = list(self._removals)
                if not removals:
                    self._thread = None
                    return
            over = []
            for removal in removals:
                with self._locks(removal.lb):
                    over += [removal] if self._is_over(removal) else []
            with self._guard:
                self._removals = [removal for removal in self._removals if removal not in over]

    def _is_over(self, removal: _Removal) -> bool:
        try:
            # What another worker has is another thing, even by the same name.
            if removal.stats.show_info().get("Pid") != removal.worker:
                return True
            if self._clock.monotonic() >= removal.until:
                Runtime(removal.stats, self._clock).execute(removal.commands, patience=0)
                return True
            removal.commands = [command for command in removal.commands if not _executed(removal.stats, command)]
        except AgentError as error:
            _LOG.warning("a server that nobody needs cannot be removed", loadbalancer=removal.lb, error=str(error))
            return True
        return not removal.commands


def split(commands: Sequence[Command]) -> tuple[Sequence[Command], Sequence[Command]]:
    """Those that are executed at once; and, from the first on that connections may be in the way of, those that are executed then."""
    first = next((number for number, command in enumerate(commands) if command.patient), len(commands))
    return commands[:first], commands[first:]


def _executed(stats: StatsSocket, command: Command) -> bool:
    """Whether it is done; False where connections are in its way. Raises CommandRefused, SocketFault."""
    answer = stats.ask(command.text)
    if command.nudge is not None and not re.search(command.answer, answer):
        stats.ask(command.nudge)
        answer = stats.ask(command.text)
    if re.search(command.answer, answer):
        return True
    # What depends on such a server (its certificate) can only be forgotten after it.
    if "still has connections" in answer or "not idle" in answer or "in use" in answer.lower() or "used" in answer.lower():
        return False
    raise CommandRefused(f"{command.object}: HAProxy was told {command.text}, and answers: {answer.strip() or 'nothing'}")
