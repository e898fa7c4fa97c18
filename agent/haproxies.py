"""`Haproxies`: one HAProxy for each load balancer, with the configurations that a controller sends.

What is on the disk (`agent.configuration`), what runs (`agent.services`) and whether it serves (`agent.running_haproxy`) are others' business;
here they are put together, one change to a load balancer at a time.
"""

from __future__ import annotations

import base64
import grp
import hashlib
import re
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

import msgspec
import structlog

from agent import haproxy_text, program_names
from agent.certificates import Certificates
from agent.clock import Clock, SystemClock
from agent.configuration import Configuration, directory
from agent.errors import AgentError, DeadlineExceeded, NotFoundError, RejectedByHaproxy, SocketFault
from agent.files import remove_file, replace_file, sync
from agent.identifiers import is_object_id
from agent.locks import Locks
from agent.processes import LocalRunner, Runner
from agent.running_haproxy import OldWorker, RunningHaproxy
from agent.services.programs import Program, ProgramWords
from agent.stats_socket import MasterSocket, StatsSocket
from agent.texts import render
from compiler.quoting import word

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.check_scripts import CheckScripts
    from agent.haproxy import Haproxy
    from agent.paths import Paths
    from agent.services.programs import Services

_LOG = structlog.get_logger("agent.haproxies")

#: Seconds for `haproxy -c`, and for a worker to serve: thousands of certificates take time. Octavia's controller waits for 60.
_CHECK_DEADLINE = 50.0
_SERVE_DEADLINE = 40.0
#: Seconds for one that runs but does not serve, as just after a crash, to come to do so; then it is ended.
_COME_UP_DEADLINE = 10.0
#: Seconds that HAProxy may take to say how it is.
_ANSWER_DEADLINE = 3.0
#: Seconds that an old worker may go on after a reload, and reloads that it may see, where the controller does not say.
_HARD_STOP_AFTER = 3600
_MAX_RELOADS = 50

Status = Literal["ACTIVE", "OFFLINE", "ERROR"]


class Listener(msgspec.Struct, frozen=True):
    """A listener as a controller asks for it: `type` is HTTP, TCP, TERMINATED_HTTPS, UDP or SCTP."""

    status: Status
    uuid: str
    type: str


class Haproxies:
    """`namespace` is the network namespace that HAProxy runs in. Ids have been through `agent.identifiers`."""

    def __init__(
        self,
        paths: Paths,
        services: Services,
        haproxy: Haproxy,
        scripts: CheckScripts,
        *,
        namespace: str | None,
        runner: Runner | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._paths = paths
        self._services = services
        self._haproxy = haproxy
        self._scripts = scripts
        self._namespace = namespace
        self._runner = runner or LocalRunner()
        self._clock = clock or SystemClock()
        self._certificates = Certificates(paths)
        self._locks = Locks()
        #: Called when another configuration serves, or none does any more: from any thread, and not to be waited in for long.
        self.followers: list[Callable[[], None]] = []

    def upload(self, amphora: str, lb: str, text: bytes) -> None:
        """Takes in a configuration, to be served from the next start or reload on. Raises RejectedByHaproxy, with nothing changed; OSError."""
        with self._locks(lb):
            self._scripts.install()
            directory(self._paths.loadbalancer(lb))
            peer = peer_name(amphora)
            self._check(lb, peer, text)
            replace_file(self._paths.haproxy_peer(lb), peer.encode())
            self._configuration(lb).upload(text)

    def config(self, lb: str) -> bytes:
        """The configuration that was uploaded last and not refused. Raises NotFoundError."""
        with self._locks(lb):
            self._must_exist(lb)
            return self._configuration(lb).text()

    def start(self, lb: str) -> str:
        """Has it serve what was uploaded; returns what there is to say about it. Raises NotFoundError, RejectedByHaproxy, SystemFault."""
        return self._serve(lb, reload=False)

    def reload(self, lb: str) -> str:
        """As `start`, and loads certificates again; connections go on. Where this fails, what served before serves on, now and at a boot."""
        return self._serve(lb, reload=True)

    def stop(self, lb: str) -> None:
        """Ends it, with all connections. Raises NotFoundError, SystemFault."""
        with self._locks(lb):
            self._must_exist(lb)
            self._stop(lb)

    def delete(self, lb: str) -> None:
        """Ends it and removes all that is known of it, certificates too; fine where there is nothing. Raises SystemFault, OSError."""
        with self._locks(lb):
            self._stop(lb)
            self._configuration(lb).remove()
            place = self._paths.loadbalancer(lb)
            if place.is_dir():
                shutil.rmtree(place)
                sync(place.parent)
            self._certificates.delete_all(lb)
            self._paths.stats_socket(lb).unlink(missing_ok=True)

    def loadbalancers(self) -> list[str]:
        """The ids of those that have a configuration."""
        if not self._paths.base.is_dir():
            return []
        names = sorted(place.name for place in self._paths.base.iterdir() if place.is_dir())
        return [name for name in names if is_object_id(name) and self._configuration(name).exists()]

    def running(self, lb: str) -> bool:
        """Whether it serves at this moment."""
        return self._running(lb).serves()

    def status(self, lb: str) -> Status:
        """ACTIVE while it serves, ERROR when it should and does not, OFFLINE when nobody wants it to."""
        if program_names.haproxy(lb) not in self._services.programs():
            return "OFFLINE"
        return "ACTIVE" if self.running(lb) else "ERROR"

    def listeners(self) -> list[Listener]:
        """The listeners of all load balancers."""
        found = []
        for lb in self.loadbalancers():
            with suppress(FileNotFoundError):  # it is being deleted
                frontends = haproxy_text.read(self._paths.haproxy_cfg(lb).read_bytes()).frontends
                status = self.status(lb)
                found += [Listener(status, frontend.name, frontend.type) for frontend in frontends]
        return found

    def restore(self) -> list[str]:
        """Settles what a crash of the agent left open, after `Services.restore`; returns what did not go well, and does not end for it."""
        problems = []
        for lb in self.loadbalancers():
            try:
                with self._locks(lb):
                    if program_names.haproxy(lb) in self._services.programs():
                        self._settle(lb)
            except (AgentError, OSError) as error:
                _LOG.error("load balancer cannot be restored", loadbalancer=lb, error=str(error))
                problems.append(f"load balancer {lb}: {error}")
        self._tell()
        return problems

    def stats(self, lb: str) -> StatsSocket:
        """The socket of its worker, at level `admin`."""
        return StatsSocket(self._paths.admin_socket(lb), timeout=_ANSWER_DEADLINE, clock=self._clock)

    def old_workers(self, lb: str) -> list[OldWorker]:
        """The workers that reloads have replaced and that still have connections; `hard-stop-after` and `mworker-max-reloads` end them."""
        return self._running(lb).old_workers()

    def _settle(self, lb: str) -> None:
        if not self._is_up(lb) or self._configuration(lb).undecided():
            self._bring_up(lb, reload=True)

    def _is_up(self, lb: str) -> bool:
        """Whether it serves, or comes to do so when it has only just been started."""
        try:
            self._running(lb).await_worker(self._services.position(program_names.haproxy(lb)), _COME_UP_DEADLINE)
        except (RejectedByHaproxy, DeadlineExceeded):
            return False
        return True

    def _serve(self, lb: str, *, reload: bool) -> str:
        with self._locks(lb):
            self._must_exist(lb)
            return self._bring_up(lb, reload=reload)

    def _bring_up(self, lb: str, *, reload: bool) -> str:
        configuration = self._configuration(lb)
        name = program_names.haproxy(lb)
        wanted_before = name in self._services.programs()
        pid = self._services.pid(name)
        running = pid is not None and self._is_up(lb)
        taken = configuration.take()
        if running and not (reload or taken or configuration.undecided()):
            return f"haproxy for {lb} runs"
        self._write_additions(lb)
        try:
            reloaded = running and self._reload(lb, pid)
            if not reloaded:
                self._start(lb)
        except (AgentError, OSError) as error:
            self._fall_back(lb, wanted_before=wanted_before)
            _LOG.error("configuration not served", loadbalancer=lb, error=str(error))
            raise
        configuration.keep()
        self._tell()
        limits = self._limits(lb)
        return f"haproxy for {lb} {'reloaded' if reloaded else 'started'}" + (f"\n{limits}" if limits else "")

    def _reload(self, lb: str, pid: int | None) -> bool:
        """Reloads the one with this process id; False where that has ended meanwhile, so that it is to be started instead."""
        self._save_servers_state(lb)
        try:
            self._running(lb).reload(_SERVE_DEADLINE)
        except AgentError as error:
            if self._services.pid(program_names.haproxy(lb)) == pid:
                raise
            _LOG.error("haproxy ended at a reload", loadbalancer=lb, error=str(error))
            return False
        return True

    def _start(self, lb: str) -> None:
        """Anew: one that runs does not serve."""
        name = program_names.haproxy(lb)
        if self._services.pid(name) is not None:
            self._services.stop(name)
        since = self._services.position(name)
        self._services.start(self._program(lb))
        self._running(lb).await_worker(since, _SERVE_DEADLINE)

    def _fall_back(self, lb: str, *, wanted_before: bool) -> None:
        """What served before is what is on the disk, and serves again."""
        name = program_names.haproxy(lb)
        given_back = self._configuration(lb).give_back()
        if given_back:
            self._write_additions(lb)
        if not wanted_before:
            self._services.stop(name)
        elif given_back and not self.running(lb):
            try:
                self._start(lb)
            except AgentError as error:
                _LOG.error("what served before does not serve again", loadbalancer=lb, error=str(error))
        self._tell()

    def _stop(self, lb: str) -> None:
        name = program_names.haproxy(lb)
        self._scripts.follow(without=name)
        self._services.stop(name)
        self._tell()
        for path in (self._paths.admin_socket(lb), self._paths.master_socket(lb), self._paths.haproxy_pid(lb)):
            path.unlink(missing_ok=True)

    def _tell(self) -> None:
        """Another one runs, or another configuration does."""
        self._scripts.follow()
        for follower in self.followers:
            follower()

    def _check(self, lb: str, peer: str, text: bytes) -> None:
        place = self._paths.loadbalancer(lb)
        candidate, additions = place / "haproxy.cfg.unchecked", place / "amphora.cfg.unchecked"
        try:
            replace_file(candidate, text)
            replace_file(additions, self._additions(lb, text))
            checked = self._runner.run(
                [str(self._haproxy.binary), "-c", "-L", peer, "-f", str(additions), "-f", str(candidate)], timeout=_CHECK_DEADLINE
            )
        finally:
            for path in (candidate, additions):
                remove_file(path)
        if checked.code != 0:
            self._configuration(lb).refuse(text)
            raise RejectedByHaproxy("HAProxy does not take this configuration", checked.output)

    def _program(self, lb: str) -> Program:
        master = self._paths.master_socket(lb)
        peer = self._paths.haproxy_peer(lb).read_text(encoding="ascii")
        files = ("-f", str(self._paths.haproxy_additions(lb)), "-f", str(self._paths.haproxy_cfg(lb)))
        directory(self._paths.run)
        return Program(
            name=program_names.haproxy(lb),
            description=f"HAProxy of load balancer {lb}",
            arguments=(
                *(str(self._haproxy.binary), "-W", "-db", "-S", f"{master},mode,600"),
                *("-p", str(self._paths.haproxy_pid(lb)), "-L", peer, *files),
            ),
            namespace=self._namespace,
            reload_signal="USR2",
        )

    def _write_additions(self, lb: str) -> None:
        replace_file(self._paths.haproxy_additions(lb), self._additions(lb, self._paths.haproxy_cfg(lb).read_bytes()))

    def _additions(self, lb: str, text: bytes) -> bytes:
        said = haproxy_text.read(text)
        return render(
            "haproxy/amphora.cfg.j2",
            group=word(_nobodys_group()) if said.user and not said.group else None,
            hard_stop_after=_HARD_STOP_AFTER,
            max_reloads=_MAX_RELOADS,
            admin_socket=word(str(self._paths.admin_socket(lb))),
        )

    def _save_servers_state(self, lb: str) -> None:
        """So that the new worker begins with what the old one knows. A reload without it is better than none."""
        try:
            state = bytes(self.stats(lb).ask_bytes("show servers state"))
            if re.match(rb"\d+\n# ", state):
                replace_file(self._paths.servers_state(lb), state)
        except SocketFault as error:
            _LOG.warning("state of the servers not saved", loadbalancer=lb, error=str(error))

    def _limits(self, lb: str) -> str:
        """What there is to say about file descriptors."""
        try:
            info = self.stats(lb).show_info()
            allowed, wanted = int(info.get("Ulimit-n", 0)), int(info.get("Maxsock", 0))
        except (SocketFault, ValueError):
            return ""
        if allowed >= wanted:
            return ""
        _LOG.warning("fewer file descriptors than wanted", loadbalancer=lb, allowed=allowed, wanted=wanted)
        return f"it may use {allowed} file descriptors, {wanted} would be needed for all connections that the configuration allows"

    def _running(self, lb: str) -> RunningHaproxy:
        name = program_names.haproxy(lb)
        master = MasterSocket(self._paths.master_socket(lb), timeout=_ANSWER_DEADLINE, clock=self._clock)
        words = ProgramWords(self._services, name)
        return RunningHaproxy(master, self.stats(lb), lambda: self._services.pid(name), words, self._clock)

    def _configuration(self, lb: str) -> Configuration:
        return Configuration(self._paths.haproxy_cfg(lb))

    def _must_exist(self, lb: str) -> None:
        if not self._configuration(lb).exists():
            raise NotFoundError(f"there is no load balancer {lb}")


def peer_name(amphora: str) -> str:
    """What Octavia's configurations call this amphora among the peers: a name that HAProxy takes, made from the id."""
    digest = hashlib.sha1(amphora.encode(), usedforsecurity=False).digest()
    name = base64.b64encode(digest, altchars=b"_-").decode().rstrip("=")
    return f"x{name[1:]}" if name.startswith("-") else name


def _nobodys_group() -> str:
    """The group that goes with `user nobody`: distributions disagree."""
    for name in ("nogroup", "nobody"):
        with suppress(KeyError):
            return grp.getgrnam(name).gr_name
    return "daemon"
