"""`Watcher`: has all agents looked at, again and again, each in a thread of its own, so that one that is silent holds up no other."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, NamedTuple, Protocol

from agent.errors import AgentError
from hydria.flows import Flow
from hydria.web.flowing import flows
from hydria.web.observing import Observer
from hydria.web.seen import Sighting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from agent.client import AgentClient
    from agent.clock import Clock

#: Looks of which it is kept what listeners did.
_KEPT = 60
#: Of the time between two looks, how much is waited for agents that have not answered yet, and seconds at most: who wants an end waits as long.
_PATIENCE, _MOST = 0.8, 2.0
#: Seconds without an answer from which on an agent is told to be silent; more where looks are rare.
_LONG = 5.0
#: How long an agent is left alone after a look, in times of what that took: to be looked at is not to be what an agent with very many members does all day.
_REST = 4.0


class Fleet(Protocol):
    """Whose agents are looked at."""

    @property
    def title(self) -> str:
        """What it is, for people."""

    def reached(self) -> AbstractContextManager[Mapping[str, AgentClient]]:
        """By name. Threads that are started meanwhile reach them. Raises AgentError or OSError where there are none any more."""


class Picture(NamedTuple):
    """What was seen last. `flowed`: load balancer and listener → what it did between looks, the latest last; None where that is not known."""

    title: str
    sightings: tuple[Sighting, ...]
    flowed: Mapping[tuple[str, str], tuple[Flow | None, ...]]


class Watcher:
    """Looks every `interval` seconds while `run` runs."""

    def __init__(self, fleet: Fleet, clock: Clock, interval: float) -> None:
        self._fleet = fleet
        self._clock = clock
        self._interval = interval
        self._lock = threading.Lock()
        self._looking: dict[str, threading.Thread] = {}
        self._began: dict[str, float] = {}
        self._due: dict[str, float] = {}
        self._observers: dict[str, tuple[AgentClient, Observer]] = {}
        self._seen: dict[str, Sighting] = {}
        self._flowed: dict[tuple[str, str], deque[Flow | None]] = {}

    def picture(self) -> Picture:
        """What was seen last."""
        with self._lock:
            return Picture(self._fleet.title, tuple(self._seen.values()), {key: tuple(each) for key, each in self._flowed.items()})

    def look(self) -> None:
        """Has all looked at that are not being looked at still. Raises what `Fleet.reached` does."""
        with self._fleet.reached() as clients:
            for name, client in clients.items():
                if name in self._looking and self._looking[name].is_alive():
                    self._miss(name)
                    continue
                if self._clock.monotonic() < self._due.get(name, 0.0):
                    continue
                if name not in self._observers or self._observers[name][0] is not client:
                    self._observers[name] = client, Observer(client, self._clock)
                with self._lock:
                    self._seen.setdefault(name, Sighting(name, client.amphora_id, str(client.place), error="it has not answered yet"))
                self._began[name] = self._clock.monotonic()
                self._looking[name] = threading.Thread(target=self._look_at, args=(name, *self._observers[name]), daemon=True)
                self._looking[name].start()
        until = self._clock.monotonic() + min(self._interval * _PATIENCE, _MOST)
        for thread in list(self._looking.values()):
            thread.join(max(0.0, until - self._clock.monotonic()))
        self._remember(list(clients))

    def _miss(self, name: str) -> None:
        """What an agent has said is old when it takes very long to say something new."""
        waited = self._clock.monotonic() - self._began[name]
        if waited > max(_LONG, 3 * self._interval):
            with self._lock:
                self._seen[name] = self._seen[name]._replace(error=f"it has not answered for {waited:.0f} seconds")

    def _look_at(self, name: str, client: AgentClient, observer: Observer) -> None:
        now, reason = None, ""
        try:
            now = observer.look()
        except AgentError as error:
            reason = str(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is shown, and the others are looked at
            reason = f"this is a fault of Hydria itself, please report it: {error!r}"
        ended = self._clock.monotonic()
        self._due[name] = ended + _REST * (ended - self._began[name])
        with self._lock:
            known = self._seen.get(name) or Sighting(name, client.amphora_id, str(client.place))
            seen = known if now is None else known._replace(amphora=client.amphora_id, place=str(client.place), now=now, before=known.now)
            self._seen[name] = seen._replace(error=reason)

    def _remember(self, names: Sequence[str]) -> None:
        """Those that there are, in their order, and what listeners do."""
        with self._lock:
            self._seen = {name: self._seen[name] for name in names if name in self._seen}
            self._observers = {name: known for name, known in self._observers.items() if name in names}
            self._looking = {name: thread for name, thread in self._looking.items() if name in names or thread.is_alive()}
            now = flows(tuple(self._seen.values()))
            self._flowed = {key: self._flowed.get(key) or deque(maxlen=_KEPT) for key in now}
            for key, flow in now.items():
                self._flowed[key].append(flow)
