"""`Haproxies`: one HAProxy for each load balancer, with the configurations that a controller sends.

What is on the disk (`agent.generations`), what runs (`agent.haproxy_process`) and how one becomes the other (`agent.apply`) are others'
business; here is what the 1.0 contract makes of them, one change to a load balancer at a time.
"""

from __future__ import annotations

import shutil
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
import structlog

from agent import haproxy_text, program_names
from agent.amphora_additions import Certified, additions
from agent.apply import Apply
from agent.certificates import Certificates
from agent.clock import Clock, SystemClock
from agent.configuration import directory
from agent.errors import AgentError, NotFoundError, RejectedByHaproxy
from agent.files import sync
from agent.generations import Generation, Generations
from agent.haproxy_process import HaproxyProcess
from agent.identifiers import is_object_id
from agent.leaving import Leaving
from agent.locks import Locks
from agent.named_contents import named
from agent.processes import LocalRunner, Runner
from compiler.bundle import File

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.apply import Beside, Check
    from agent.check_scripts import CheckScripts
    from agent.haproxy import Haproxy
    from agent.outcomes import Outcome, Way
    from agent.paths import Paths
    from agent.running_haproxy import OldWorker
    from agent.services.programs import Services
    from agent.stats_socket import StatsSocket

_LOG = structlog.get_logger("agent.haproxies")

#: How a change is told.
_DONE: dict[Way, str] = {"noop": "runs", "runtime": "changed", "reload": "reloaded", "restart": "restarted", "start": "started"}

Status = Literal["ACTIVE", "OFFLINE", "ERROR"]


class Listener(msgspec.Struct, frozen=True):
    """A listener as a controller asks for it: `type` is HTTP, TCP, TERMINATED_HTTPS, UDP or SCTP."""

    status: Status
    uuid: str
    type: str


class Haproxies:
    """`namespace` is the network namespace that HAProxy runs in. Ids have been through `agent.identifiers`.

    `beside(lb)` looks after what a generation has beside HAProxy; `step(lb, word)` is called after each step of a change.
    """

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
        beside: Callable[[str], Beside] | None = None,
        step: Callable[[str, str], None] = lambda _lb, _word: None,
    ) -> None:
        self._paths = paths
        self._services = services
        self._haproxy = haproxy
        self._scripts = scripts
        self._namespace = namespace
        self._runner = runner or LocalRunner()
        self._clock = clock or SystemClock()
        self._beside = beside or (lambda lb: Certified(paths.certificates / lb))
        self._step = step
        #: Held by whoever changes something of a load balancer.
        self.locks = Locks()
        self._certificates = Certificates(paths, self.locks)
        #: Servers that are configured no more and have connections.
        self.leaving = Leaving(self.locks, self._clock)
        self._changes: Counter[str] = Counter()
        #: Called when another configuration serves, or none does any more: from any thread, and not to be waited in for long.
        self.followers: list[Callable[[], None]] = []
        #: Called with a load balancer before its HAProxy is ended, or another one takes its place: not at a reload.
        self.ending: list[Callable[[str], None]] = []

    # --- the 1.0 contract ---

    def upload(self, amphora: str, lb: str, text: bytes) -> None:
        """Takes in a configuration, to be served from the next start or reload on. Raises RejectedByHaproxy, with nothing changed; OSError."""
        with self.locks(lb):
            self.prepare(lb)
            added = additions(amphora, text, self._paths.admin_socket(lb))
            files = {"haproxy.cfg": File(text, 0o600, secret=True), "amphora.cfg": File(added, 0o600)}
            generations = self.generations(lb)
            staged = generations.stage(files, "1.0")
            try:
                self.process(lb).check(staged.path)
            except RejectedByHaproxy as error:
                generations.refuse(staged, error.output)
                raise
            generations.upload(staged)

    def config(self, lb: str) -> bytes:
        """The configuration that was uploaded last and not refused. Raises NotFoundError."""
        with self.locks(lb):
            self._must_exist(lb)
            return self.generations(lb).latest.read("haproxy.cfg")

    def start(self, lb: str) -> str:
        """Has it serve what was uploaded; returns what there is to say about it. Raises NotFoundError, RejectedByHaproxy, SystemFault."""
        with self.locks(lb):
            return self._serve(lb, reload=False)

    def reload(self, lb: str) -> str:
        """As `start`, and looks at certificates again. What can be done without a reload is; where nothing is new, it is what was asked for.

        Where it fails, what served before serves on, now and at a boot.
        """
        waited_from = self._changes[lb]
        with self.locks(lb):
            # Of several that waited for each other, the first has done all.
            return self._serve(lb, reload=self._changes[lb] - waited_from < 2)

    def stop(self, lb: str) -> None:
        """Ends it, with all connections. Raises NotFoundError, SystemFault."""
        with self.locks(lb):
            self._must_exist(lb)
            self._stop(lb)

    def delete(self, lb: str) -> None:
        """Ends it and removes all that is known of it, certificates too; fine where there is nothing. Raises SystemFault, OSError."""
        with self.locks(lb):
            # Whoever is killed from here on leaves the rest to `restore`: it never comes back.
            self.generations(lb).forget()
            self._stop(lb)
            self.generations(lb).remove()
            place = self._paths.loadbalancer(lb)
            if place.is_dir():
                shutil.rmtree(place)
                sync(place.parent)
            self._certificates.delete_all(lb)
            self._paths.stats_socket(lb).unlink(missing_ok=True)

    # --- what there is ---

    def loadbalancers(self) -> list[str]:
        """The ids of those that have a configuration."""
        if not self._paths.base.is_dir():
            return []
        names = sorted(place.name for place in self._paths.base.iterdir() if place.is_dir())
        return [name for name in names if is_object_id(name) and self.generations(name).exists()]

    def running(self, lb: str) -> bool:
        """Whether it serves at this moment."""
        return self.process(lb).serves()

    def status(self, lb: str) -> Status:
        """ACTIVE while it serves, ERROR when it should and does not, OFFLINE when nobody wants it to."""
        if not self.process(lb).wanted():
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

    def stats(self, lb: str) -> StatsSocket:
        """The socket of its worker, at level `admin`."""
        return self.process(lb).stats

    def old_workers(self, lb: str) -> list[OldWorker]:
        """The workers that reloads have replaced and that still have connections; `hard-stop-after` and `mworker-max-reloads` end them."""
        return self.process(lb).old_workers()

    def restore(self) -> list[str]:
        """Settles what a crash of the agent left open, after `Services.restore`; returns what did not go well, and does not end for it."""
        problems = []
        for lb in sorted({*self.loadbalancers(), *self._wanted()}):
            try:
                with self.locks(lb):
                    if self._is_nothing(lb):
                        self.delete(lb)
                    else:
                        self.apply(lb).settle()
            except (AgentError, OSError) as error:
                _LOG.error("load balancer cannot be restored", loadbalancer=lb, error=str(error))
                problems.append(f"load balancer {lb}: {error}")
        self._tell()
        return problems

    # --- how a load balancer is changed, by whatever contract; the lock is the caller's ---

    def prepare(self, lb: str) -> None:
        """Has there be a place for it. Raises OSError."""
        self._scripts.install()
        place = directory(self._paths.loadbalancer(lb))
        link = self._paths.haproxy_cfg(lb)
        if not link.is_symlink():
            # A file, where something else than Hydria has been an agent here.
            new = link.with_name(".haproxy.cfg.new")
            new.unlink(missing_ok=True)
            new.symlink_to(Path("loading", "haproxy.cfg"))
            new.replace(link)
            sync(place)

    def generations(self, lb: str) -> Generations:
        """Its configurations."""
        return Generations(self._paths.loadbalancer(lb), partial(self._step, lb))

    def process(self, lb: str) -> HaproxyProcess:
        """Its HAProxy."""
        return HaproxyProcess(
            lb,
            self._paths,
            self._services,
            self._haproxy,
            namespace=self._namespace,
            runner=self._runner,
            clock=self._clock,
            ending=partial(self._about_to_end, lb),
        )

    def apply(self, lb: str) -> Apply:
        """How it changes."""
        return Apply(
            self.generations(lb), self.process(lb), self._beside(lb), self.leaving, clock=self._clock, step=partial(self._step, lb)
        )

    def tidy(self, lb: str) -> None:
        """Away with a place in which nothing has come to be. Raises OSError."""
        generations, place = self.generations(lb), self._paths.loadbalancer(lb)
        if not generations.exists() and not generations.numbers() and place.is_dir():
            shutil.rmtree(place)
            sync(place.parent)

    def bring(
        self,
        lb: str,
        generation: Generation,
        *,
        reload: bool = False,
        taken: dict[str, float] | None = None,
        check: Check | None = None,
    ) -> Outcome:
        """Has a generation serve. `taken` (step → ms) goes into the outcome. Raises as `Apply.bring`."""
        self._changes[lb] += 1
        try:
            return self.apply(lb).bring(generation, reload=reload, taken=taken, check=check)
        finally:
            self._changes[lb] += 1
            self._tell()

    # --- how ---

    def _serve(self, lb: str, *, reload: bool) -> str:
        self._must_exist(lb)
        process, generations = self.process(lb), self.generations(lb)
        new = self._taken(generations)
        fresh = generations.linked("uploaded") is not None or new != generations.linked("current")
        if not (fresh or reload) and process.pid() is not None and process.is_up():
            return f"haproxy for {lb} runs"
        outcome = self.bring(lb, new, reload=reload and not fresh)
        limits = process.limits() if outcome.way != "noop" else ""
        return f"haproxy for {lb} {_DONE[outcome.way]}" + (f"\n{limits}" if limits else "")

    def _taken(self, generations: Generations) -> Generation:
        """What was uploaded last, with what is in the files that it names just now; the one that serves where that is the same."""
        latest = generations.latest
        if latest.about.contract != "1.0":
            return latest
        contents = named(latest.read("amphora.cfg") + b"\n" + latest.read("haproxy.cfg"))
        paths = {name: f"named/{number}" for number, name in enumerate(sorted(contents))}
        if latest.about.named == paths and all(latest.read(paths[name]) == content for name, content in contents.items()):
            return generations.same_as_current(latest)
        files = {path: file for path, file in latest.files().items() if not path.startswith("named/")}
        files |= {paths[name]: File(content, 0o600, secret=True) for name, content in contents.items()}
        return generations.same_as_current(generations.stage(files, "1.0", named=paths))

    def _wanted(self) -> list[str]:
        """The load balancers whose HAProxy should run."""
        prefix = program_names.haproxy("")
        names = [name.removeprefix(prefix) for name in self._services.programs() if name.startswith(prefix)]
        return [name for name in names if is_object_id(name)]

    def _is_nothing(self, lb: str) -> bool:
        """Whether a crash has left it in the middle of its deletion, or before a first graph came to serve: nobody was told that it is there."""
        generations = self.generations(lb)
        if not generations.exists():
            return True
        return generations.linked("current") is None and generations.loading.about.contract == "2.0" and not self.process(lb).wanted()

    def _stop(self, lb: str) -> None:
        process = self.process(lb)
        self._scripts.follow(without=process.name)
        process.stop()
        self._tell()

    def _tell(self) -> None:
        """Another one runs, or another configuration does."""
        self._scripts.follow()
        for follower in self.followers:
            follower()

    def _about_to_end(self, lb: str) -> None:
        for told in self.ending:
            try:
                told(lb)
            except (AgentError, OSError) as error:
                _LOG.error("a HAProxy is ended, and not all could be done before", loadbalancer=lb, error=str(error))

    def _must_exist(self, lb: str) -> None:
        if not self.generations(lb).exists():
            raise NotFoundError(f"there is no load balancer {lb}")
