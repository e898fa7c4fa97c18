"""The first process of a machine: `python -m hydria.lab.pid_one DIRECTORY` makes the lab's, which is the hypervisor; that boots the others.

A machine is what is in namespaces of its own (processes, mounts, network, host name) under a first process. When that is killed the kernel
ends everything on the machine at once and forgets its networks and mounts, as when a power cord is pulled: whoever ends the hypervisor
has ended the lab. So what must be known to end a lab are the two processes that are recorded in DIRECTORY: this one until it has made the
hypervisor (`launcher.pid`), and the hypervisor (`hypervisor.pid`), which does nothing before its record is written.

A first process does as `hydria.lab.calls` asks, lays dead processes to rest, and imports little: it is what a machine costs.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from hydria.lab import syscalls
from hydria.lab.calls import LARGEST, MOST_DESCRIPTORS, listen

if TYPE_CHECKING:
    from collections.abc import Callable

HYPERVISOR = "hypervisor"
LAUNCHER_RECORD, HYPERVISOR_RECORD = "launcher.pid", "hypervisor.pid"
#: The environment variable in which a program finds the numbers of the descriptors that it was given: sockets made elsewhere.
DESCRIPTORS = "HYDRIA_DESCRIPTORS"
_SIGNALS = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_MACHINE = syscalls.NEW_MOUNTS | syscalls.NEW_NAMES | syscalls.NEW_IPC | syscalls.NEW_PIDS | syscalls.NEW_NET


class FirstProcess:
    """Answers at a socket in `directory`, which every machine has at the same place, for ever."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory
        self._listener = listen(directory / f"{name}.sock")
        self._essential: set[int] = set()
        self._verbs: dict[str, Callable[..., dict[str, Any]]] = {
            "run": self._run,
            "boot": self._boot,
            "network": _network,
            "signal": send,
            "processes": lambda: {"processes": processes()},
        }

    def serve(self) -> NoReturn:
        """Goes on until it is killed, or a program ends without which there is no machine."""
        woken, wake = os.pipe()
        for end in (woken, wake):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for number in _SIGNALS:
            signal.signal(number, lambda *_: None)
        while True:
            ready, _, _ = select.select([self._listener.fileno(), woken], [], [])
            if woken in ready:
                with suppress(BlockingIOError):
                    os.read(woken, 4096)
            if self._essential & lay_to_rest():
                os._exit(0)  # below whoever made us, who is to know nothing of it
            if self._listener.fileno() in ready:
                with self._listener.accept()[0] as asking:
                    asking.settimeout(10)
                    with suppress(OSError):
                        asked, given, _, _ = socket.recv_fds(asking, LARGEST, MOST_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
                        asking.send(json.dumps(self._answer(asked, given)).encode())

    def _answer(self, asked: bytes, given: list[int]) -> dict[str, Any]:
        try:
            words = json.loads(asked)
            return self._verbs[words.pop("do")](**words, **({"given": given} if given else {}))
        except OSError as error:
            return {"error": str(error)}
        except (KeyError, TypeError, ValueError) as error:
            return {"error": repr(error)}
        finally:
            for descriptor in given:
                os.close(descriptor)

    def _run(
        self,
        command: list[str],
        log: str,
        network: str | None = None,
        environment: dict[str, str] | None = None,
        given: list[int] | None = None,
        *,
        essential: bool = False,
    ) -> dict[str, Any]:
        """Starts a program in a session of its own; its words go to the end of a file. It finds what it is `given` by DESCRIPTORS.

        With one that is `essential` the machine ends.
        """
        failed, failing = os.pipe()
        if (pid := os.fork()) == 0:
            try:
                for descriptor in given or ():
                    os.set_inheritable(descriptor, True)
                _become(command, log, network, {DESCRIPTORS: " ".join(map(str, given or ())), **(environment or {})})
            except BaseException as error:  # noqa: BLE001 - whatever it is, this process must not go on as what it was
                os.write(failing, str(error).encode())
            os._exit(127)
        os.close(failing)
        with open(failed, "rb") as reading:  # noqa: PTH123 - a descriptor
            if reason := reading.read():
                return {"error": f"{command[0]} cannot be started: {reason.decode()}"}
        if essential:
            self._essential.add(pid)
        return {"pid": pid}

    def _boot(self, name: str, places: dict[str, str] | None = None) -> dict[str, Any]:
        """Makes a machine, whose first process answers at NAME.sock when this returns. `places`: directory there → what it is of this machine's."""
        told, telling = os.pipe()
        if (middle := os.fork()) == 0:
            try:
                os.close(told)
                self._listener.close()
                syscalls.unshare(_MACHINE)
                if (first := os.fork()) == 0:
                    furnish(self._directory, name, places or {})
                    machine = FirstProcess(self._directory, name)
                    os.write(telling, b"ready")
                    os.close(telling)
                    machine.serve()
                os.write(telling, f"{first} ".encode())
            except BaseException as error:  # noqa: BLE001 - as above
                os.write(telling, f"failed {error}".encode())
            os._exit(0)
        os.close(telling)
        os.waitpid(middle, 0)
        said = b""
        # The first process may be slower than the one that made it, or faster; it holds the pipe open until it is ready.
        while b"ready" not in said and b"failed" not in said and (more := os.read(told, 4096)):
            said += more
        os.close(told)
        number = said.replace(b"ready", b"").decode().strip()
        return {"pid": int(number)} if number.isdecimal() else {"error": f"{name} does not come up: {number}"}


def furnish(directory: Path, name: str, places: dict[str, str]) -> None:
    """What a machine sees: its own processes and interfaces, an empty /run, its own name, the lab's directory where it is elsewhere, its `places`."""
    held = os.open(directory, os.O_PATH)
    socket.sethostname(name)
    syscalls.mount("proc", "/proc", "proc")
    with suppress(OSError):  # a container may not; what is there is another network's, and is not to be written to anyway
        syscalls.mount("sysfs", "/sys", "sysfs", syscalls.READ_ONLY)
    syscalls.mount("run", "/run", "tmpfs", options="mode=755")
    directory.mkdir(parents=True, exist_ok=True)
    # A descriptor's link leads to the directory also where something else is mounted over the way to it by now.
    syscalls.mount(f"/proc/self/fd/{held}", directory, flags=syscalls.BIND)
    os.close(held)
    for place, source in places.items():
        _have(Path(place))
        syscalls.mount(source, place, flags=syscalls.BIND)
    # keepalived asks for the machine's own name when it starts, for ten seconds where nobody answers.
    for place, text in (("/etc/hosts", f"127.0.0.1 localhost {name}\n::1 localhost {name}\n"), ("/etc/resolv.conf", "")):
        own = Path("/run", Path(place).name)
        own.write_text(text)
        with suppress(OSError):  # where there is none, nobody is asked
            syscalls.mount(str(own), place, flags=syscalls.BIND)


def _have(place: Path) -> None:
    """Makes a directory that others do not see, where there is none: what it is in becomes one of the machine's own, with links to all that it had."""
    if place.is_dir():
        return
    within = place.parent
    beneath = Path("/run/beneath", *within.parts[1:])
    if not within.is_dir():
        _have(within)
    elif not beneath.is_dir():
        beneath.mkdir(parents=True)
        syscalls.mount(str(within), beneath, flags=syscalls.BIND | syscalls.RECURSIVE)
        syscalls.mount("own", within, "tmpfs", options="mode=755")
        for entry in beneath.iterdir():
            (within / entry.name).symlink_to(entry.readlink() if entry.is_symlink() else entry)
    place.mkdir()


def _root_of_our_own(place: Path) -> None:
    """Mounts are this process's from now on, and / is one: `ip netns exec` and keepalived insist, and in a chroot it is none."""
    root = os.open("/", os.O_PATH | os.O_DIRECTORY)
    mounts = os.open("/proc/self/ns/mnt", os.O_RDONLY)
    # Also in a chroot everything is private, what is mounted above it too: entering the namespace leads to its real root.
    syscalls.enter(mounts, syscalls.NEW_MOUNTS)
    syscalls.mount("", "/", flags=syscalls.RECURSIVE | syscalls.PRIVATE)
    os.fchdir(root)
    os.chroot(".")
    os.close(mounts)
    os.close(root)
    place.mkdir()
    syscalls.mount("/", place, flags=syscalls.BIND | syscalls.RECURSIVE)
    os.chdir(place)
    os.chroot(".")
    os.chdir("/")


def _network(name: str) -> dict[str, Any]:
    """Makes a network namespace in which no machine is: /run/netns/NAME. Fine where there is one."""
    place = Path("/run/netns", name)
    if place.exists():
        return {}
    place.parent.mkdir(exist_ok=True)
    place.touch()
    if (pid := os.fork()) == 0:
        try:
            syscalls.unshare(syscalls.NEW_NET)
            syscalls.mount("/proc/self/ns/net", place, flags=syscalls.BIND)
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    return {} if status == 0 else {"error": f"the network {name} cannot be made"}


def send(number: int, names: list[str] | None = None, pids: list[int] | None = None) -> dict[str, Any]:
    """Sends a signal to processes of the machine, by id or by the name of their program."""
    told = [one["pid"] for one in processes() if one["pid"] in (pids or ()) or one["name"] in (names or ())]
    for pid in told:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
    return {"pids": told}


def processes() -> list[dict[str, Any]]:
    """All but the first one that run: id, name, command line."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):
            if entry.name.isdigit() and entry.name != "1" and (entry / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX":
                command = (entry / "cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
                found.append({"pid": int(entry.name), "name": (entry / "comm").read_text().rstrip("\n"), "command": command})
    return found


def lay_to_rest() -> set[int]:
    """Has children that have ended be no more; their ids."""
    ended = set()
    with suppress(ChildProcessError):
        while pid := os.waitpid(-1, os.WNOHANG)[0]:
            ended.add(pid)
    return ended


def _become(command: list[str], log: str, network: str | None, environment: dict[str, str]) -> NoReturn:
    """Becomes a program."""
    signal.set_wakeup_fd(-1)
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    os.setsid()
    if network is not None:
        with Path("/run/netns", network).open("rb") as there:
            syscalls.enter(there.fileno(), syscalls.NEW_NET)
    with open(os.devnull, "rb") as nothing, open(log, "ab", opener=lambda path, flags: os.open(path, flags, 0o600)) as words:  # noqa: PTH123
        for source, target in ((nothing, 0), (words, 1), (words, 2)):
            os.dup2(source.fileno(), target)
    os.execvpe(command[0], command, {**os.environ, **environment})  # noqa: S606 - there is no shell


def _record(path: Path, pid: int) -> None:
    """Who it is: see `agent.services.records.Identity`. In one write: whoever reads it reads all of it or nothing."""
    started = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[19]
    path.write_text(f"{pid} {started}\n")


def main(directory: Path) -> NoReturn:
    """Makes the hypervisor of the lab in `directory`, and ends with 0 when it answers; says on standard error why not, otherwise."""
    _record(directory / LAUNCHER_RECORD, os.getpid())
    syscalls.unshare(_MACHINE)
    _root_of_our_own(directory / "root")
    ready, readying = os.pipe()
    known, knowing = os.pipe()
    if (first := os.fork()) == 0:
        os.close(knowing)
        # Whoever made us may be killed before anybody knows of us.
        if os.read(known, 1) != b"k":
            os._exit(1)
        os.close(known)
        os.close(ready)
        furnish(directory, HYPERVISOR, {})
        hypervisor = FirstProcess(directory, HYPERVISOR)
        os.write(readying, b"r")
        os.close(readying)
        # Whoever waits for the end of our words is not to wait for ours.
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(nothing, number)
        hypervisor.serve()
    os.close(known)
    os.close(readying)
    _record(directory / HYPERVISOR_RECORD, first)
    os.write(knowing, b"k")
    sys.exit(0 if os.read(ready, 1) == b"r" else "the hypervisor does not come up")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
