"""Running programs: `Runner` is the collaborator that all of the agent goes through, `LocalRunner` the one that really does it.

A program gets its arguments as a list, no input, and an environment with nothing but a PATH, so that what it does does not depend on who
started it (HAProxy expands environment variables in its configuration).
"""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, Protocol

from agent.clock import SystemClock, wait_until
from agent.errors import DeadlineExceeded, ProgramMissing, SystemFault

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

#: All that a program gets of an environment.
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}

#: Seconds that killed processes may take to be gone.
_LAST_DEATHS = 2.0

# The kernel sends the child SIGTERM when its parent dies in any way (prctl(2), PR_SET_PDEATHSIG); the shell gives up where the parent has
# died before that was arranged. This needs no Python code between fork and exec, which threads would make unsafe.
_TIED = ("setpriv", "--pdeathsig", "TERM", "--", "sh", "-c", '[ "$PPID" = "$0" ] && exec "$@"')


class Finished(NamedTuple):
    """A program that has ended: its exit code, and all that it wrote to its standard output and error, in order."""

    code: int
    output: str


class Child(Protocol):
    """A program that was started and belongs to us until `end`."""

    @property
    def pid(self) -> int:
        """Its process id; not given to anybody else before `end`."""

    def exit_code(self) -> int | None:
        """None while it runs; then its exit code, or minus the signal that ended it."""

    def signal(self, number: signal.Signals, /) -> None:
        """Sends it, and only it, a signal; nothing happens where it has exited."""

    def end(self) -> None:
        """Kills what is left of it and of all that it started, and lets its id go."""


class Runner(Protocol):
    """Runs programs."""

    def run(self, arguments: Sequence[str], /, *, timeout: float) -> Finished:
        """Runs a program to its end, `timeout` seconds at most.

        Raises ProgramMissing where there is none, DeadlineExceeded (the program is killed), SystemFault when a signal ended it.
        """

    def start(self, arguments: Sequence[str], /, *, output: Path) -> Child:
        """Starts a program that ends when we do, with what it writes appended to the file `output`. Raises as `run`, and OSError."""


class LocalRunner:
    """Runs programs on this machine, as who we are."""

    def run(self, arguments: Sequence[str], /, *, timeout: float) -> Finished:
        """See `Runner.run`."""
        try:
            done = subprocess.run(
                list(arguments),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=ENVIRONMENT,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise DeadlineExceeded(f"{arguments[0]} did not end within {timeout:g} s and was killed") from error
        except FileNotFoundError as error:
            raise ProgramMissing(f"there is no program {arguments[0]}") from error
        except OSError as error:
            raise SystemFault(f"{arguments[0]} cannot be run: {error.strerror}") from error
        output = done.stdout.decode(errors="backslashreplace")
        if done.returncode < 0:
            raise SystemFault(f"{arguments[0]} was ended by {_signal_name(-done.returncode)}:\n{output}")
        return Finished(done.returncode, output)

    def start(self, arguments: Sequence[str], /, *, output: Path) -> Child:
        """See `Runner.start`.

        The child has a session of its own, so that a Ctrl-C on the terminal reaches us alone. It is tied to the calling *thread*: start
        from one that lives as long as the child shall.
        """
        with output.open("ab") as log:
            try:
                return _LocalChild(
                    subprocess.Popen(
                        [*_TIED, str(os.getpid()), *arguments],
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        env=ENVIRONMENT,
                        start_new_session=True,
                    )
                )
            except FileNotFoundError as error:
                raise ProgramMissing(f"there is no program {_TIED[0]}; install it with: apt-get install util-linux") from error


class _LocalChild:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.pid = process.pid

    def exit_code(self) -> int | None:
        if self._process.returncode is None:
            # Looks without reaping: while the child is a zombie, nobody else can be given its id, and `end` cannot hit a stranger.
            state = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if state is None:
                return None
            return state.si_status if state.si_code == os.CLD_EXITED else -state.si_status
        return self._process.returncode

    def signal(self, number: signal.Signals, /) -> None:
        if self._process.returncode is None:
            os.kill(self.pid, number)

    def end(self) -> None:
        if self._process.returncode is None:
            # The child leads its own session, so its id is also that of the group which its descendants are in.
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()
            # Descendants die a moment later, and are not ours to wait for; the group exists as long as one of them does.
            wait_until(lambda: not _group_exists(self.pid), _LAST_DEATHS, SystemClock())


def _group_exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
