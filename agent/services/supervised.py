"""Programs without an init system: `SupervisedServices` starts them, takes over those that it finds running, and brings back what ends.

What should run is a file for each program in `state`. It is written before the program is started and removed before it is stopped for
good, so whoever reads it after a crash knows what to do. What runs is told by the records in `run` (see `agent.services.records`).

A file that has been damaged still says that its program should run, and not how: what runs of it runs on, and the next that says how, by
starting it, writes the file anew. Until then `restore` tells of it each time.
"""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import msgspec
import structlog

from agent.clock import Clock, SystemClock, wait_until
from agent.configuration import directory
from agent.errors import SystemFault
from agent.files import remove_file, replace_file
from agent.log_file import LogFile
from agent.services.programs import PATIENCE, Program
from agent.services.records import Child, Identity, launch, recorded, session_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LOG = structlog.get_logger("agent.services")

#: Seconds between two looks at the programs.
_LOOK = 0.1
#: Seconds before a program that has ended is started again: the first, doubled at each end that follows, up to the last.
_FIRST_PAUSE = 0.1
_LAST_PAUSE = 30.0
#: Seconds that a program must run for its earlier ends to be forgotten.
_STEADY = 10.0
#: Seconds that killed processes may take to be gone.
_LAST_DEATHS = 5.0


class _Kept:
    """A program that should run, and how it fares. `lock` is held by whoever starts or ends it."""

    def __init__(self, program: Program, identity: Identity | None) -> None:
        self.program = program
        self.identity = identity
        self.child: Child | None = None
        self.restarts = 0
        self.pause = _FIRST_PAUSE
        self.since = 0.0
        self.due: float | None = None


class SupervisedServices:
    """Keeps programs running. `run` is for this uptime, `state` survives; both are made where they are missing.

    Nothing is started, and what ends is not noticed, before `start` or `restore`. `close` ends the watch, not the programs.
    """

    def __init__(self, run: Path, state: Path, clock: Clock | None = None) -> None:
        self._run = run
        self._state = state
        self._clock = clock or SystemClock()
        # Held for what takes moments; a program that takes its time to end is waited for without it.
        self._lock = threading.RLock()
        self._closed = threading.Event()
        self._watch: threading.Thread | None = None
        self._make_directories()
        self._damaged: dict[str, str] = {}
        self._kept = {program.name: _Kept(program, self._taken_over(program.name)) for program in self._wanted()}

    def start(self, program: Program, /) -> None:
        """See `Services.start`. One that runs in another way than it shall now is stopped before."""
        with self._lock:
            kept = self._kept.get(program.name)
        if kept is not None and kept.program != program:
            self._quit(program.name, wanted=True)
        self._keep(program)

    def restart(self, program: Program, /) -> None:
        """See `Services.restart`."""
        self._quit(program.name, wanted=True)
        self._keep(program)

    def stop(self, name: str, /) -> None:
        """See `Services.stop`."""
        self._quit(name, wanted=False)

    def pid(self, name: str, /) -> int | None:
        """See `Services.pid`."""
        with self._lock:
            kept = self._kept.get(name)
            identity = kept.identity if kept else self._taken_over(name) if name in self._damaged else None
        return identity.pid if identity and identity.alive() else None

    def restarts(self, name: str, /) -> int:
        """See `Services.restarts`."""
        with self._lock:
            return self._kept[name].restarts if name in self._kept else 0

    def programs(self) -> tuple[str, ...]:
        """See `Services.programs`."""
        with self._lock:
            return tuple(sorted({*self._kept, *self._damaged}))

    def position(self, name: str, /) -> str:
        """See `Services.position`."""
        return self._log(name).position()

    def words(self, name: str, since: str = "", /) -> str:
        """See `Services.words`."""
        return self._log(name).since(since)

    def restore(self) -> list[str]:
        """See `Services.restore`."""
        wanted = self.programs()
        for record in self._run.glob("*.pid"):
            if record.stem not in wanted:
                # Whoever stopped it was killed before it was gone.
                with _told(record.stem):
                    self.stop(record.stem)
        for log in self._run.glob("*.log"):
            if log.stem not in wanted:
                log.unlink()
        with self._lock:
            self._begin_watch()
            for kept in self._kept.values():
                if not _runs(kept):
                    with _told(kept.program.name):
                        self._launch(kept)
            return list(self._damaged.values())

    def close(self) -> None:
        """Watches no more."""
        self._closed.set()
        if self._watch is not None:
            self._watch.join()

    def _keep(self, program: Program) -> None:
        with self._lock:
            self._begin_watch()
            kept = self._kept.get(program.name)
            if kept is None:
                self._make_directories()
                replace_file(self._wish(program.name), msgspec.json.format(msgspec.json.encode(program)) + b"\n")
                kept = self._kept[program.name] = _Kept(program, recorded(self._record(program.name), self._clock))
                if self._damaged.pop(program.name, None):
                    _LOG.warning("what was damaged is whole again", program=program.name)
            if not _runs(kept):
                kept.restarts, kept.pause = 0, _FIRST_PAUSE
                self._launch(kept)

    def _quit(self, name: str, *, wanted: bool) -> None:
        """Ends it. What it is stays on the disk where it is `wanted` again, so that an agent that is killed now is not the end of it."""
        with self._lock:
            kept = self._kept.pop(name, None)
            if not wanted:
                remove_file(self._wish(name))
                self._damaged.pop(name, None)
            identity = kept.identity if kept else recorded(self._record(name), self._clock)
        if identity is not None:
            self._end(name, identity, kept.program.patience if kept else PATIENCE)
        if kept is not None and kept.child is not None:
            kept.child.ended(wait=True)
        remove_file(self._record(name))

    def _make_directories(self) -> None:
        """Also when somebody has removed them meanwhile; for good, so that what is synced in them is not lost with them when the power goes."""
        for path in (self._run, self._state):
            directory(path)

    def _wanted(self) -> list[Program]:
        """Those whose files can be used; `_damaged` gets the others. One is no reason to leave the others alone."""
        found = []
        for wish in sorted(self._state.glob("*.json")):
            try:
                found.append(_read(wish))
            except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError, SystemFault) as error:
                told = f"{wish} does not tell of a program ({error}); start {wish.stem} again, or stop it"
                _LOG.error("program is not known any more", program=wish.stem, error=told)
                self._damaged[wish.stem] = told
        return found

    def _taken_over(self, name: str) -> Identity | None:
        """Who runs of it, as far as this can be seen now; before another one is started, it is seen to once more."""
        try:
            return recorded(self._record(name), self._clock)
        except (OSError, SystemFault) as error:
            _LOG.error("it cannot be seen whether a program runs", program=name, error=str(error))
            return None

    def _launch(self, kept: _Kept) -> None:
        name = kept.program.name
        self._make_directories()
        if kept.identity is None:
            kept.identity, kept.due = recorded(self._record(name), self._clock), None
            if _runs(kept):
                return
        if kept.identity is not None:
            self._end(name, kept.identity, patience=0)
        if kept.child is not None:
            kept.child.ended(wait=True)
        kept.child = launch(kept.program, self._record(name), self._log(name).path, self._clock)
        kept.identity = recorded(self._record(name), self._clock)
        kept.since = self._clock.monotonic()
        kept.due = None

    def _end(self, name: str, identity: Identity, patience: float) -> None:
        """Ends it and all that it left in its session."""
        if patience > 0:
            identity.signal(signal.SIGTERM)
            if not wait_until(lambda: not identity.alive(), patience, self._clock):
                _LOG.warning("program killed", program=name, seconds=patience)

        def gone() -> bool:
            left = session_of(identity)
            for one in left:
                one.signal(signal.SIGKILL)
            return not left

        if not wait_until(gone, _LAST_DEATHS, self._clock):
            raise SystemFault(f"{name} cannot be ended: process {identity.pid} or one of its children does not go")

    def _begin_watch(self) -> None:
        if self._watch is None:
            self._watch = threading.Thread(target=self._keep_watching, name="services", daemon=True)
            self._watch.start()

    def _keep_watching(self) -> None:
        while not self._closed.wait(_LOOK):
            with self._lock:
                for kept in list(self._kept.values()):
                    with _told(kept.program.name):
                        self._look_at(kept)

    def _look_at(self, kept: _Kept) -> None:
        now = self._clock.monotonic()
        if kept.due is not None:
            if now >= kept.due:
                kept.due = now + kept.pause
                kept.restarts += 1
                self._launch(kept)
        elif not _runs(kept):
            name = kept.program.name
            code = kept.child.code if kept.child else None
            pause = kept.pause if now - kept.since < _STEADY else _FIRST_PAUSE
            kept.due, kept.pause = now + pause, min(pause * 2, _LAST_PAUSE)
            _LOG.error("program ended", program=name, code=code, again_in=pause, words=self.words(name)[-1000:])
        else:
            with suppress(OSError):
                self._log(kept.program.name).bound()

    def _wish(self, name: str) -> Path:
        return self._state / f"{name}.json"

    def _record(self, name: str) -> Path:
        return self._run / f"{name}.pid"

    def _log(self, name: str) -> LogFile:
        return LogFile(self._run / f"{name}.log")


def _read(wish: Path) -> Program:
    program = msgspec.json.decode(wish.read_bytes(), type=Program)
    if program.name != wish.stem:
        raise SystemFault(f"it is about {program.name}")
    return program


def _runs(kept: _Kept) -> bool:
    """Whether it does; a child of ours that has ended is laid to rest."""
    if kept.child is not None:
        kept.child.ended()
    return kept.identity is not None and kept.identity.alive()


@contextmanager
def _told(name: str) -> Iterator[None]:
    """What fails with one program is no reason to leave the others alone; it will be tried again."""
    try:
        yield
    except (OSError, SystemFault) as error:
        _LOG.error("program cannot be started or ended", program=name, error=str(error))
