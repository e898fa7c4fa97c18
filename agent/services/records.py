"""What the supervised way knows of a running program: a file that the program's own process writes before it becomes the program.

So there is no moment at which a program runs and nobody knows: the record is its standard input, opened and locked by the agent, and it
is unlocked when the process, having written its id and start time, goes on without it. Whoever reads the record waits for that.
"""

from __future__ import annotations

import fcntl
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from agent.clock import Clock, SystemClock, wait_until
from agent.errors import DeadlineExceeded, SystemFault
from agent.processes import ENVIRONMENT

if TYPE_CHECKING:
    from agent.services.programs import Program

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

#: Seconds for a process that has been started to write its record, which takes it moments: more, when it has been stopped or cannot be run.
_WRITING = 5.0

# `read` is the shell's own, so /proc/self is the process that becomes the program. `$0` is the wanted number of files; where that is not
# allowed, all that is.
_BECOME = (
    "umask 022 && cd / && unset PWD OLDPWD && read -r boot </proc/sys/kernel/random/boot_id && read -r stat </proc/self/stat && "
    'printf "%s %s\\n" "$boot" "$stat" >&0 && '
    '{ ulimit -n "$0" 2>/dev/null || ulimit -n "$(ulimit -Hn)"; } && exec "$@" </dev/null'
)


class Identity(NamedTuple):
    """A process that no other one can be taken for: its id and its start, in the kernel's ticks since the machine's."""

    pid: int
    started: int

    def alive(self) -> bool:
        """Whether it runs; one that has ended and waits for its parent does not."""
        found = look(self.pid)
        return found is not None and found.started == self.started and found.state not in "ZX"

    def signal(self, number: signal.Signals) -> None:
        """Sends it, and certainly no other one, a signal."""
        with suppress(ProcessLookupError):
            descriptor = os.pidfd_open(self.pid)
            try:
                # Now it cannot become another one any more.
                if self.alive():
                    signal.pidfd_send_signal(descriptor, number)
            finally:
                os.close(descriptor)


class Seen(NamedTuple):
    """What /proc/PID/stat says (proc_pid_stat(5))."""

    state: str
    session: int
    started: int


def identify(pid: int) -> Identity | None:
    """Whoever has this process id now."""
    seen = look(pid)
    return None if seen is None else Identity(pid, seen.started)


def look(pid: int) -> Seen | None:
    """A process, if there is one."""
    try:
        return _read_stat(Path("/proc", str(pid), "stat").read_text(encoding="utf-8", errors="replace"))
    except (FileNotFoundError, ProcessLookupError):
        return None


def session_of(identity: Identity) -> list[Identity]:
    """All that runs in the session which this process opened, itself too; also when it has ended."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (seen := look(int(entry.name))) and seen.session == identity.pid:
            # While somebody is in the session, its number is given to nobody else; those of an earlier one were there earlier.
            found += [Identity(int(entry.name), seen.started)] if seen.started >= identity.started and _works(entry, seen) else []
    return found


def _works(process: Path, seen: Seen) -> bool:
    """Whether anything of it goes on. Where the first thread has ended, others that were killed with it may still have its sockets."""
    if seen.state not in "ZX":
        return True
    try:
        threads = [_read_stat((thread / "stat").read_text(encoding="utf-8", errors="replace")) for thread in (process / "task").iterdir()]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return any(thread.state not in "ZX" for thread in threads)


class Child:
    """A process that we started and that may outlive us. While we live, it is ours to lay to rest."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.code: int | None = None

    def ended(self, *, wait: bool = False) -> bool:
        """Whether it has; `code` tells how then: its exit code, or minus the signal that ended it."""
        if self.code is None:
            pid, status = os.waitpid(self.pid, 0 if wait else os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code is not None


def launch(program: Program, record: Path, log: Path, clock: Clock | None = None) -> Child:
    """Starts a program that outlives us, in a session of its own, and has it write `record`. Raises SystemFault, OSError.

    DeadlineExceeded, with nothing started, while a process that was started before has not come to write it.
    """
    command = ["ip", "netns", "exec", program.namespace, *program.arguments] if program.namespace else program.arguments
    made = os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    with (
        os.fdopen(os.open(record, os.O_RDWR | made, 0o600), "r+b") as file,
        # What a program says of its configuration is as secret as that.
        os.fdopen(os.open(log, os.O_WRONLY | os.O_APPEND | made, 0o600), "ab") as output,
    ):
        _lock(file, fcntl.LOCK_EX, record, clock)
        file.truncate(0)
        # Nothing of ours runs between fork and exec. Most files of ours are closed by exec; gunicorn's sockets would not be.
        files: list[tuple[int, ...]] = [(os.POSIX_SPAWN_CLOSE, number) for number in _inherited()]
        files += [(os.POSIX_SPAWN_DUP2, source.fileno(), target) for source, target in ((file, 0), (output, 1), (output, 2))]
        try:
            return Child(
                os.posix_spawn(
                    "/bin/sh",
                    ["/bin/sh", "-c", _BECOME, str(program.files), *command],
                    ENVIRONMENT,
                    file_actions=files,
                    setsid=True,
                    setsigmask=(),
                    setsigdef=signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP},
                )
            )
        except OSError as error:
            raise SystemFault(f"{program.name} cannot be started: {error.strerror}") from error


def recorded(record: Path, clock: Clock | None = None) -> Identity | None:
    """The process that wrote `record`, running or not; None where there is none of this uptime.

    Raises DeadlineExceeded where one has been started and does not come to write it.
    """
    try:
        with record.open("rb") as file:
            _lock(file, fcntl.LOCK_SH, record, clock)
            boot, _, stat = file.read().decode(errors="replace").partition(" ")
    except FileNotFoundError:
        return None
    if boot != _BOOT_ID.read_text(encoding="ascii").strip() or not stat.endswith("\n"):
        return None
    return Identity(int(stat.split(" ", 1)[0]), _read_stat(stat).started)


def _lock(file: BinaryIO, kind: int, record: Path, clock: Clock | None) -> None:
    def locked() -> bool:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    if not wait_until(locked, _WRITING, clock or SystemClock()):
        raise DeadlineExceeded(
            f"{record} is not written by the process that was started for it, and still locked by that after {_WRITING:g} s"
        )


def _inherited() -> list[int]:
    """The files that a program we start would inherit, standard ones aside."""
    found = []
    for place in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the one by which this was read
            found += [int(place.name)] if int(place.name) > 2 and os.get_inheritable(int(place.name)) else []
    return found


def _read_stat(text: str) -> Seen:
    # The name, in brackets, may hold anything.
    fields = text.rpartition(")")[2].split()
    return Seen(fields[0], int(fields[3]), int(fields[19]))
