"""`HaproxyProcess`: the HAProxy of one load balancer as a program: that it runs, loads again, answers, ends.

What it loads is none of its business: its arguments lead through a link (see `agent.generations`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import structlog

from agent import program_names
from agent.clock import wait_until
from agent.configuration import directory
from agent.errors import AgentError, DeadlineExceeded, RejectedByHaproxy, SocketFault
from agent.files import remove_file, replace_file
from agent.running_haproxy import OldWorker, RunningHaproxy
from agent.servers_state import Touched, without
from agent.services.programs import Program, ProgramWords
from agent.stats_socket import MasterSocket, StatsSocket
from compiler.target import Version, parse_version

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agent.clock import Clock
    from agent.haproxy import Haproxy
    from agent.paths import Paths
    from agent.processes import Runner
    from agent.services.programs import Services

_LOG = structlog.get_logger("agent.haproxy_process")

#: Seconds for `haproxy -c`, and for a worker to serve: thousands of certificates take time. Octavia's controller waits for 60.
_CHECK_DEADLINE = 50.0
_SERVE_DEADLINE = 40.0
#: Seconds for one that runs but does not serve, as just after a crash, to come to do so; then it is ended.
_COME_UP_DEADLINE = 10.0
#: Seconds that HAProxy may take to say how it is.
_ANSWER_DEADLINE = 3.0
#: For a process that does not answer to have ended.
_ENDING_DEADLINE = 2.0


class Loaded(msgspec.Struct, frozen=True):
    """What is known of the worker that runs: that it has loaded a generation, and since then what commands have made of which servers."""

    worker: str = ""
    generation: int = 0
    touched: Touched = {}


class HaproxyProcess:
    """`namespace` is the network namespace that HAProxy runs in; `ending` is called before one that runs is ended, and does not raise.

    One thread at a time changes something.
    """

    def __init__(
        self,
        lb: str,
        paths: Paths,
        services: Services,
        haproxy: Haproxy,
        *,
        namespace: str | None,
        runner: Runner,
        clock: Clock,
        ending: Callable[[], None] = lambda: None,
    ) -> None:
        self.lb = lb
        self.name = program_names.haproxy(lb)
        self._paths = paths
        self._services = services
        self._haproxy = haproxy
        self._namespace = namespace
        self._runner = runner
        self._clock = clock
        self._ending = ending

    @property
    def stats(self) -> StatsSocket:
        """The socket of its worker, at level `admin`."""
        return StatsSocket(self._paths.admin_socket(self.lb), timeout=_ANSWER_DEADLINE, clock=self._clock)

    def wanted(self) -> bool:
        """Whether it should run."""
        return self.name in self._services.programs()

    def pid(self) -> int | None:
        """The master's process id."""
        return self._services.pid(self.name)

    def serves(self) -> bool:
        """Whether it serves at this moment."""
        return self._running().serves()

    def is_up(self) -> bool:
        """Whether it serves, or comes to do so when it has only just been started."""
        try:
            self._running().await_worker(self._services.position(self.name), _COME_UP_DEADLINE)
        except (RejectedByHaproxy, DeadlineExceeded):
            return False
        return True

    def version(self) -> Version:
        """Of the HAProxy that runs, which may have been replaced on the disk. Raises SocketFault."""
        try:
            return parse_version(self.stats.show_info().get("Version", ""))
        except ValueError as error:
            raise SocketFault("HAProxy does not say which version it is") from error

    def old_workers(self) -> list[OldWorker]:
        """Those that reloads have replaced and that still have connections."""
        return self._running().old_workers()

    def check(self, generation: Path) -> str:
        """What HAProxy says of the configuration there. Raises RejectedByHaproxy; SystemFault when it does not come to a verdict."""
        arguments = [str(self._haproxy.binary), "-c", *_loading(generation)]
        checked = self._runner.run(arguments, timeout=_CHECK_DEADLINE)
        if checked.code != 0:
            raise RejectedByHaproxy("HAProxy does not take this configuration", checked.output)
        return checked.output

    # --- changing it ---

    def start(self) -> None:
        """Anew: one that runs does not serve. Raises RejectedByHaproxy, SystemFault."""
        since = self._services.position(self.name)
        # Never one that is not wanted for a moment: an agent that is killed then would leave it that way.
        (self._services.start if self.pid() is None else self._services.restart)(self._program())
        self._running().await_worker(since, _SERVE_DEADLINE)

    def restart(self) -> None:
        """Ends it, with all connections, and starts it. Raises as `start`."""
        self._save_servers_state()
        self._ending()
        self.start()

    def reload(self, pid: int | None) -> bool:
        """Has the one with this process id load again; False where that has ended meanwhile, so that it is to be started instead.

        Raises RejectedByHaproxy, DeadlineExceeded, SocketFault: the old worker goes on.
        """
        self._save_servers_state()
        try:
            self._running().reload(_SERVE_DEADLINE)
        except AgentError as error:
            # One that is killed has no sockets any more a moment before it is seen to have ended.
            patience = _ENDING_DEADLINE if isinstance(error, SocketFault) else 0
            if pid is not None and not wait_until(lambda: self.pid() != pid, patience, self._clock):
                raise
            _LOG.error("haproxy ended at a reload", loadbalancer=self.lb, error=str(error))
            return False
        return True

    def stop(self) -> None:
        """Ends it, with all connections; fine where it does not run. Raises SystemFault."""
        if self.pid() is not None:
            self._ending()
        self._services.stop(self.name)
        places = (self._paths.admin_socket(self.lb), self._paths.master_socket(self.lb), self._paths.haproxy_pid(self.lb))
        for path in (*places, self._paths.loaded(self.lb)):
            path.unlink(missing_ok=True)

    # --- what is known of its worker ---

    def loaded(self) -> Loaded | None:
        """What was noted of the worker that runs; None where it is another one, as after a crash."""
        try:
            noted = msgspec.json.decode(self._paths.loaded(self.lb).read_bytes(), type=Loaded)
            return noted if noted.worker == self.stats.show_info().get("Pid") else None
        except (FileNotFoundError, msgspec.DecodeError, SocketFault):
            return None

    def note(self, generation: int, touched: Touched) -> None:
        """What the worker that runs has loaded, and what commands have made of it. Raises SocketFault, OSError."""
        noted = Loaded(self.stats.show_info().get("Pid", ""), generation, touched)
        directory(self._paths.run)
        replace_file(self._paths.loaded(self.lb), msgspec.json.encode(noted))

    def forget(self) -> None:
        """Nothing is known of it from now on."""
        remove_file(self._paths.loaded(self.lb))

    def limits(self) -> str:
        """What there is to say about file descriptors."""
        try:
            info = self.stats.show_info()
            allowed, wanted = int(info.get("Ulimit-n", 0)), int(info.get("Maxsock", 0))
        except (SocketFault, ValueError):
            return ""
        if allowed >= wanted:
            return ""
        _LOG.warning("fewer file descriptors than wanted", loadbalancer=self.lb, allowed=allowed, wanted=wanted)
        return f"it may use {allowed} file descriptors, {wanted} would be needed for all connections that the configuration allows"

    # --- how ---

    def _save_servers_state(self) -> None:
        """So that the new worker begins with what the old one knows. A reload without it is better than none."""
        try:
            noted = self.loaded()
            state = without(bytes(self.stats.ask_bytes("show servers state")), noted.touched if noted else {})
            if state is not None:
                replace_file(self._paths.servers_state(self.lb), state)
        except SocketFault as error:
            _LOG.warning("state of the servers not saved", loadbalancer=self.lb, error=str(error))

    def _program(self) -> Program:
        directory(self._paths.run)
        return Program(
            name=self.name,
            description=f"HAProxy of load balancer {self.lb}",
            arguments=(
                *(str(self._haproxy.binary), "-W", "-db", "-S", f"{self._paths.master_socket(self.lb)},mode,600"),
                *("-p", str(self._paths.haproxy_pid(self.lb)), *_loading(self._paths.loading(self.lb))),
            ),
            namespace=self._namespace,
            reload_signal="USR2",
        )

    def _running(self) -> RunningHaproxy:
        master = MasterSocket(self._paths.master_socket(self.lb), timeout=_ANSWER_DEADLINE, clock=self._clock)
        return RunningHaproxy(master, self.stats, self.pid, ProgramWords(self._services, self.name), self._clock)


def _loading(generation: Path) -> list[str]:
    """The arguments with which HAProxy loads a generation. It is the working directory too: see `agent.haproxy.loading`."""
    return ["-C", str(generation), "-f", str(generation / "amphora.cfg"), "-f", str(generation / "haproxy.cfg")]
