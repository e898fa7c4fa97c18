"""`Runtime`: executes the commands of a plan on a running HAProxy, looks at every answer, and then at HAProxy itself.

It knows nothing of what the commands are for (`compiler.changes` says how to tell that one was taken). One that is refused, or that does
not show afterwards, is `CommandRefused`: what runs is then neither the old nor the new, and a reload puts it right.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING

from agent.clock import Clock, SystemClock, wait_until
from agent.errors import CommandRefused, SocketFault
from agent.read_back import differences
from compiler.changes import SILENCE, Command, Confirmation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent.stats_socket import StatsSocket

#: Bytes of commands that are asked at once, and seconds after which connections that were told to end must have.
_AT_ONCE = 8000
_ENDING = 5.0
#: Seconds within which what was taken must show.
_SETTLING = 2.0
#: Seconds between two attempts to end connections that nobody uses.
_BETWEEN_NUDGES = 1.0


class Runtime:
    """The HAProxy behind `stats`, a socket of the level admin."""

    def __init__(self, stats: StatsSocket, clock: Clock | None = None) -> None:
        self._stats = stats
        self._clock = clock or SystemClock()

    def execute(self, commands: Sequence[Command], *, patience: float) -> None:
        """Executes all, in order, and sees that what they promise holds.

        `patience`: seconds that a server that goes is given for its connections; then they are ended. Raises CommandRefused, and SocketFault
        where HAProxy does not answer.
        """
        learned: dict[str, str] = {}
        begun: list[str] = []
        deadline = self._clock.monotonic() + patience
        try:
            for together in _together(commands):
                if together[0].patient:
                    self._patiently(together[0], learned, deadline)
                else:
                    self._ask(together, learned)
                for command in together:
                    if command.settles:
                        begun.pop()
                    if command.undo:
                        begun.append(_resolved(command.undo, learned))
            wrong = self._wrong([promise for command in commands for promise in command.confirm])
        except (CommandRefused, SocketFault):
            self._undo(begun)
            raise
        if wrong:
            raise CommandRefused("HAProxy took all commands, but shows something else: " + "; ".join(wrong))

    def _wrong(self, promises: Sequence[Confirmation]) -> list[str]:
        """What does not hold. Some changes become effective a moment after they were taken: of an address, since 3.0."""
        wrong: list[str] = []

        def hold() -> bool:
            nonlocal wrong
            wrong = differences(self._stats, promises)
            return not wrong

        wait_until(hold, _SETTLING, self._clock)
        return wrong

    def _ask(self, together: Sequence[Command], learned: dict[str, str]) -> None:
        text = "; ".join(_resolved(command.text, learned) for command in together)
        answer = self._stats.ask(text, together[0].payload)
        if not _taken(together[0], answer, learned):
            raise _refused(together, text, answer)

    def _patiently(self, command: Command, learned: dict[str, str], deadline: float) -> None:
        """Until the connections that are in its way have ended; the last of them are ended."""
        text = _resolved(command.text, learned)
        answer = ""
        nudged = self._clock.monotonic() - _BETWEEN_NUDGES

        def taken() -> bool:
            nonlocal answer, nudged
            answer = self._stats.ask(text)
            if _in_the_way(answer) and command.nudge is not None and self._clock.monotonic() - nudged >= _BETWEEN_NUDGES:
                self._stats.ask(command.nudge)
                nudged = self._clock.monotonic()
                answer = self._stats.ask(text)
            return _taken(command, answer, learned) or not _in_the_way(answer)

        if not wait_until(taken, max(deadline - self._clock.monotonic(), 0), self._clock):
            self._stats.ask(f"shutdown sessions server {text.split()[-1]}")
            wait_until(taken, _ENDING, self._clock)
        if not _taken(command, answer, learned):
            raise _refused([command], text, answer)

    def _undo(self, begun: Sequence[str]) -> None:
        """As far as it goes: a transaction that was begun must not be in the way of the next."""
        for text in reversed(begun):
            try:
                self._stats.ask(text)
            except SocketFault:
                return


def _together(commands: Sequence[Command]) -> Iterator[list[Command]]:
    """Commands that can be asked at once: those that say nothing when they are taken, and by which nothing ends. All others one by one."""
    for silent, group in groupby(commands, _silent):
        chunk: list[Command] = []
        size = 0
        for command in group:
            length = len(command.text.encode())
            if chunk and (not silent or size + length > _AT_ONCE):
                yield chunk
                chunk, size = [], 0
            chunk.append(command)
            size += length + 2
        yield chunk


def _silent(command: Command) -> bool:
    single = command.payload is not None or command.patient or command.undo is not None or command.settles
    return command.answer == SILENCE and not single


def _resolved(text: str, learned: dict[str, str]) -> str:
    for name, value in learned.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _taken(command: Command, answer: str, learned: dict[str, str]) -> bool:
    match = re.search(command.answer, answer)
    if match is not None:
        learned |= match.groupdict()
    return match is not None


def _in_the_way(answer: str) -> bool:
    """Whether it is connections that keep HAProxy from removing a server."""
    return "still has connections" in answer or "not idle" in answer


def _refused(together: Sequence[Command], text: str, answer: str) -> CommandRefused:
    which = text if len(together) == 1 else f"one of {len(together)} commands, {together[0].text} …"
    return CommandRefused(
        f"{together[0].object}: {together[0].field}: HAProxy was told {which}, and answers: {answer.strip() or 'nothing'}"
    )
