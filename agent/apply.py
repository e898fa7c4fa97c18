"""`Apply`: the one way in which a load balancer changes, whoever wants it to.

staged generation → plan against what runs → validation → `loading` leads to it → commands, or one reload → probe → `current` leads to it.
Where any of that fails, what served before is loaded again and serves. `kill -9` after any step leaves a generation that is whole, and
`settle`, at the next start of the agent, finds out which one serves.

Where nothing changes but servers, and by commands, these come before validation, which takes longer than all else together: HAProxy reads
every word that is different in a command with the parser by which it reads the file, and is asked about the file before anything relies on it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
import structlog

from agent.errors import AgentError, CommandRefused, DeadlineExceeded, RejectedByHaproxy, SocketFault
from agent.leaving import split
from agent.outcomes import Outcome, Way, Why
from agent.runtime import Runtime
from agent.servers_state import Touched, touched
from agent.stats_socket import StatsSocket
from compiler.changes import Commands, NoOp, Plan, Reason, Reload, Restart
from compiler.plan import Files, plan, servers_alone

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.clock import Clock
    from agent.generations import Generation, Generations
    from agent.haproxy_process import HaproxyProcess, Loaded
    from agent.leaving import Leaving
    from compiler.changes import Command

_LOG = structlog.get_logger("agent.apply")

#: Has the programs that will load a generation look at it; their complaints that do not stop it, in JSON. Raises AgentError where they refuse it.
Check = Callable[[], Sequence[dict[str, Any]]]

#: Seconds that a worker may take to answer once more when all is done.
_PROBE_DEADLINE = 10.0


class Beside(Protocol):
    """What a generation has beside HAProxy's configuration: other programs', files elsewhere."""

    def differences(self, generation: Generation, /) -> list[str]:
        """What `follow` would do, in words."""

    def follow(self, generation: Generation, before: Generation | None, /) -> list[str]:
        """Has it be as this generation says; what was done, in words. `before` is the one that served. Raises AgentError, OSError."""

    def put_back(self, generation: Generation, /) -> None:
        """Has what is outside of a generation be as when it was loaded, before it is loaded again. Raises OSError."""


class Forecasted(msgspec.Struct, frozen=True):
    """What it would take, in which way; `commands` where there are some; `servers_alone`: they are for all that is different."""

    way: Way
    reasons: tuple[Reason, ...] = ()
    later: tuple[Reason, ...] = ()
    commands: tuple[Command, ...] = ()
    servers_alone: bool = False


class Apply:
    """One load balancer's. Its methods are called by one thread at a time. `step` is called with a word after everything that is done."""

    def __init__(
        self,
        generations: Generations,
        process: HaproxyProcess,
        beside: Beside,
        leaving: Leaving,
        *,
        clock: Clock,
        step: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.generations = generations
        self.process = process
        self._beside = beside
        self._leaving = leaving
        self._clock = clock
        self._step = step

    # --- what it would take ---

    def forecast(self, new: Files, *, reload: bool = False) -> Forecasted:
        """What it takes to have these files run; with `reload`, at least that."""
        old = self.generations.linked("current")
        if not self.process.wanted() or self.process.pid() is None or not self.process.is_up():
            return Forecasted("start")
        if old is None or self.generations.undecided():
            return Forecasted("reload", (Reason("haproxy", "configuration", "it is not known what runs"),))
        if not self._is_known(old):
            return Forecasted("reload", (Reason("haproxy", "process", "it has come by itself; what it has loaded is not known"),))
        running = files_of(old)
        try:
            found = plan(running, new, self.process.version())
        except SocketFault as error:
            return Forecasted("reload", (Reason("haproxy", "socket", str(error)),))
        if reload and isinstance(found, NoOp | Commands):
            return Forecasted("reload", (Reason("haproxy", "configuration", "a reload was asked for"),))
        return _forecasted(found, alone=isinstance(found, Commands) and servers_alone(running, new))

    # --- doing it ---

    def settled(self) -> bool:
        """Whether what served last serves, and nothing is left open."""
        return not self.generations.undecided() and self.process.wanted() and self.process.serves()

    def bring(
        self,
        new: Generation,
        *,
        reload: bool = False,
        taken: dict[str, float] | None = None,
        check: Check | None = None,
        uploaded: bool = True,
    ) -> Outcome:
        """Has a generation serve; with `reload`, by a new worker in any case. `taken` are steps before, in ms. `check` is for one that nobody
        has looked at yet, and is discarded if it is refused before anything is changed. Without `uploaded`, what was uploaded is left for later.

        Raises RejectedByHaproxy, RejectedByKeepalived, SystemFault, OSError, what `check` does: what served before serves then, and is what a
        boot would start.
        """
        times = _Times(self._step, taken or {})
        wanted_before = self.process.wanted()
        before = self.generations.linked("current")
        with times.step("plan"):
            forecast = self.forecast(files_of(new), reload=reload)
        noted = self.process.loaded()
        attempt = _Attempt(forecast, check)
        if not forecast.servers_alone:
            try:
                attempt.validate(times)
            except (AgentError, OSError):
                self.generations.discard(new)
                raise
        try:
            if new != self.generations.linked("loading"):
                with times.step("load"):
                    self.generations.load(new)
            self._execute(attempt, noted, times)
            with times.step("others"):
                attempt.also = self._beside.follow(new, before)
            with times.step("probe"):
                self._probe()
                self.process.note(new.number, _touched(attempt, noted))
        except (AgentError, OSError) as error:
            _LOG.error("configuration not served", loadbalancer=self.process.lb, generation=new.number, error=str(error))
            self._fall_back(error, attempt, new, wanted_before=wanted_before, uploaded=uploaded)
            raise
        self._step("noted")
        outcome = attempt.outcome(self.process.lb, new, times.taken)
        self.generations.commit(msgspec.json.encode(outcome), uploaded=uploaded)
        return outcome

    def settle(self) -> None:
        """Finishes what a crash of the agent left open. Raises as `bring`."""
        if not self.process.wanted():
            return
        loading = self.generations.loading
        if self.generations.undecided() or not self.process.is_up() or not self._is_known(loading):
            # A controller need not wait for this: it may have uploaded something already.
            uploaded = self.generations.linked("uploaded")
            self.bring(loading, reload=True, uploaded=uploaded is None or uploaded.number <= loading.number)
        else:
            self._beside.follow(loading, loading)

    def stop(self) -> None:
        """Ends HAProxy. Raises SystemFault."""
        self.process.stop()

    # --- how ---

    def _is_known(self, generation: Generation) -> bool:
        """Whether the worker that runs is certainly of this generation: not one that came by itself, or that a crash of ours left half changed."""
        noted = self.process.loaded()
        return noted is not None and noted.generation == generation.number

    def _execute(self, attempt: _Attempt, noted: Loaded | None, times: _Times) -> None:
        pid = self.process.pid()
        if attempt.way == "runtime":
            try:
                with times.step("commands"):
                    attempt.dirty = True
                    # Should we be killed now, the reload that follows must know what was touched.
                    self.process.note(0, _touched(attempt, noted))
                    at_once, then = split(attempt.forecast.commands)
                    Runtime(_Telling(self.process.stats, self._step), self._clock).execute(at_once, patience=0)
                    self._leaving.remove(self.process.lb, self.process.stats, then)
            except (CommandRefused, SocketFault) as error:
                _LOG.warning("commands did not do, so it is reloaded", loadbalancer=self.process.lb, error=str(error))
                attempt.reasons.append(Why(object="haproxy", field="commands", why=str(error)))
                attempt.way = "reload"
        attempt.validate(times)
        if attempt.way == "reload":
            with times.step("reload"):
                try:
                    if not self.process.reload(pid):
                        attempt.way = "start"
                except RejectedByHaproxy:
                    raise  # the old worker goes on, and has noticed nothing
                except AgentError:
                    attempt.dirty = True
                    raise
            attempt.dirty = True
        if attempt.way == "restart":
            with times.step("restart"):
                self.process.restart()
        if attempt.way == "start":
            with times.step("start"):
                self.process.start()

    def _probe(self) -> None:
        if not self.process.is_up():
            raise DeadlineExceeded("HAProxy does not serve after the change")

    def _fall_back(self, error: Exception, attempt: _Attempt, refused: Generation, *, wanted_before: bool, uploaded: bool) -> None:
        """What served before is what is on the disk, and serves again."""
        given_back = self.generations.give_back(str(error), uploaded=uploaded)
        try:
            if given_back is not None:
                self._beside.put_back(given_back)
            if not wanted_before:
                self.process.stop()
            elif given_back is not None:
                self._serve_again(given_back, attempt)
                self._beside.follow(given_back, refused)
        except (AgentError, OSError) as fault:
            _LOG.error("what served before does not serve again", loadbalancer=self.process.lb, error=str(fault))
        self._step("fallen back")

    def _serve_again(self, given_back: Generation, attempt: _Attempt) -> None:
        pid = self.process.pid()
        changed = attempt.dirty or attempt.way in ("restart", "start")
        if pid is None or not self.process.serves() or (changed and not self.process.reload(pid)):
            self.process.start()
            changed = True
        if changed:
            self.process.note(given_back.number, {})


class _Attempt:
    """What comes of a forecast. `dirty`: what runs may be another one than before."""

    def __init__(self, forecast: Forecasted, check: Check | None) -> None:
        self.forecast = forecast
        self._check = check
        self.way: Way = forecast.way
        self.reasons = [why(reason) for reason in forecast.reasons]
        self.also: list[str] = []
        self.dirty = False
        self._warnings: Sequence[dict[str, Any]] = ()

    def validate(self, times: _Times) -> None:
        """Has the generation looked at, where that has not been done yet. Raises what the check does."""
        if self._check is not None:
            with times.step("validate"):
                self._warnings = self._check()
            self._check = None

    def outcome(self, lb: str, generation: Generation, taken: dict[str, float]) -> Outcome:
        return Outcome(
            loadbalancer=lb,
            way=self.way,
            generation=generation.number,
            etag=generation.about.etag,
            reasons=self.reasons,
            later=[why(reason) for reason in self.forecast.later] if self.way in ("noop", "runtime") else [],
            commands=[str(command) for command in self.forecast.commands],
            steps_ms=taken,
            also=self.also,
            warnings=list(self._warnings),
        )


class _Telling(StatsSocket):
    """A socket that tells of each command that was executed."""

    def __init__(self, stats: StatsSocket, step: Callable[[str], None]) -> None:
        super().__init__(stats.path, stats.timeout)
        self._step = step

    def ask_bytes(self, command: str, payload: bytes | None = None) -> bytearray:
        answer = super().ask_bytes(command, payload)
        self._step("commanded")
        return answer


class _Times:
    """How long steps take, in milliseconds."""

    def __init__(self, tell: Callable[[str], None], taken: dict[str, float]) -> None:
        self.taken = dict(taken)
        self._tell = tell

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        begun = time.monotonic()
        try:
            yield
        finally:
            self.taken[name] = round((time.monotonic() - begun) * 1000, 2)
        self._tell(name)


def _touched(attempt: _Attempt, noted: Loaded | None) -> Touched:
    """What commands have made of the worker that runs, when this is done."""
    before = noted.touched if noted else {}
    return touched(attempt.forecast.commands, before) if attempt.way == "runtime" else before if attempt.way == "noop" else {}


def files_of(generation: Generation) -> Files:
    """A generation as a plan sees it. Raises OSError."""
    contents = {name: generation.read(path) for name, path in generation.about.named.items()}
    if generation.about.contract == "2.0":
        contents = {path: file.content for path, file in generation.files().items() if "/" in path}
    return Files(text_of(generation), contents)


def text_of(generation: Generation) -> bytes:
    """What HAProxy reads of it, as one text. Raises OSError."""
    return generation.read("amphora.cfg") + b"\n" + generation.read("haproxy.cfg")


def why(reason: Reason) -> Why:
    """A reason as it is answered."""
    return Why(object=reason.object, field=reason.field, why=reason.why)


def _forecasted(found: Plan, *, alone: bool) -> Forecasted:
    if isinstance(found, NoOp):
        return Forecasted("noop", later=found.later)
    if isinstance(found, Commands):
        return Forecasted("runtime", later=found.later, commands=found.commands, servers_alone=alone)
    if isinstance(found, Reload):
        return Forecasted("reload", found.reasons)
    assert isinstance(found, Restart)  # noqa: S101 - there is no other
    return Forecasted("restart", found.reasons)
