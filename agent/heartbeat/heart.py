"""`Heart`: a beat every `heartbeat_interval` seconds, and between beats an eye on HAProxy's workers that come and go."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec
import structlog

from agent.clock import Clock, SystemClock
from agent.errors import AgentError
from agent.heartbeat import counters
from agent.heartbeat.controllers import Controllers, Destination
from agent.heartbeat.counters import Counts, Ledger
from agent.heartbeat.haproxy_look import HaproxyLook, NotRunning, Seen, Sockets
from agent.heartbeat.message import LARGEST, Listeners, ListenerState, Pools, PoolState, document, seal
from agent.heartbeat.telling import Part, Teller

if TYPE_CHECKING:
    from agent.paths import Paths
    from agent.settings import LiveSettings, Settings

_log = structlog.get_logger(__name__)

#: Seconds between two looks at who is there: an old worker that has nothing to do is kept for so long.
_GLANCE = 1.0

#: How often, and seconds apart, a HAProxy that is not there is looked for: one that is being started is not dead.
_ATTEMPTS, _PAUSE = 3, 0.2

#: Seconds that the end of a HAProxy may wait for a beat.
_LAST_LOOK = 5.0

#: Different reasons for silence that are counted apart.
_REASONS = 50

#: Seconds between two datagrams of a beat: a receiver's buffer may hold no more than two or three of the largest.
_APART = 0.1


class Lvs(Protocol):
    """See `agent.heartbeat.lvs.LvsLook`: UDP and SCTP listeners."""

    def look(self, ledger: Ledger, /) -> Seen:
        """Their states; counters go into the ledger. Raises AgentError where they cannot be seen."""


class HeartStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What the heart has done. All counts are since the start.

    `silent`: why the last beat was not sent; None where it was. `silences`: how often for each reason. `oversize`: messages that no datagram could
    carry. `split`: datagrams beyond the first of a beat. `size`: bytes of the last beat. `coarse`: pools whose healthy members are told as unmonitored
    because there are too many; `untold`: members that the last beat had to leave out. `old_workers`: HAProxy's that still serve after a reload.
    `unsaved`: why the counters could not be saved last time.
    """

    beats: int
    silent: str | None
    silences: Mapping[str, int]
    oversize: int
    split: int
    size: int
    coarse: int
    untold: int
    old_workers: int
    unsaved: str | None
    destinations: tuple[Destination, ...]


class Heart:
    """Tells the controllers of `settings` what `loadbalancers()`, by id, and `lvs` are doing, as long as not `keepalived_missing()`.

    The counters are kept in `paths.state`. `beat`, `glance`, `last_look` and `status` may be called from any thread.
    """

    def __init__(
        self,
        settings: LiveSettings,
        paths: Paths,
        loadbalancers: Callable[[], list[str]],
        keepalived_missing: Callable[[], bool],
        clock: Clock | None = None,
        *,
        lvs: Lvs | None = None,
        teller: Teller | None = None,
        proc: Path = Path("/proc"),
    ) -> None:
        self._settings = settings
        self._paths = paths
        self._loadbalancers = loadbalancers
        self._keepalived_missing = keepalived_missing
        self._clock = clock or SystemClock()
        self._lvs = lvs
        self._teller = teller or Teller()
        self._proc = proc
        self._file = paths.state / "counters.json"
        self._ledger = self._load()
        self._saved = msgspec.json.encode(self._ledger)
        self._controllers = Controllers(self._clock)
        self._looks: dict[str, HaproxyLook] = {}
        self._unconfirmed: dict[str, tuple[Mapping[str, Counts], list[Part]]] = {}
        self._sequence = self._beats = self._split = self._oversize = self._size = 0
        self._silent: str | None = "not begun"
        self._silences: Counter[str] = Counter()
        self._unsaved: str | None = None
        self._lock = threading.Lock()
        # Another one after each beat, whole: whoever asks how the heart fares does not wait for an HAProxy that a beat waits for.
        self._status = self._told()
        self._wake = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begins to beat, at once. Other settings are followed at once, too."""
        self._settings.followers.append(self._on_settings)
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends; no datagram leaves after this. HAProxy's workers are let go."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._settings.followers.remove(self._on_settings)
            self._stopping = True
            self._wake.set()
            thread.join()
        with self._locked():
            for look in self._looks.values():
                look.close()
            self._looks.clear()
            self._controllers.close()

    def beat(self) -> bool:
        """One beat; whether a controller was sent it."""
        with self._locked():
            settings = self._settings.current
            reason = self._beat(settings)
            self._save()
            if reason is not None:
                known = reason in self._silences or len(self._silences) < _REASONS
                self._silences[reason if known else "others"] += 1
            if reason != self._silent and reason is not None:
                _log.warning("no heartbeat", reason=reason)
            elif self._silent is not None and reason is None:
                _log.info("heartbeats are sent", silences=dict(self._silences))
            self._silent = reason
            self._beats += reason is None
            return reason is None

    def glance(self) -> None:
        """Attends to HAProxy's workers that come and go. Cheap; after each reload it should be called, and it is every second."""
        with self._locked():
            ended = [look.follow() for look in self._follow_loadbalancers().values()]
            if any(ended):
                self._save()

    def last_look(self, lb: str) -> None:
        """To be called before the HAProxy of a load balancer is ended: what it has counted since the last beat would go with it.

        It waits for a beat, but not for long; a HAProxy that does not answer is ended without.
        """
        if not self._lock.acquire(timeout=_LAST_LOOK):
            _log.warning("a HAProxy is ended without a last look at its counters", loadbalancer=lb)
            return
        try:
            look = self._follow_loadbalancers().get(lb)
            if look is not None:
                look.follow()
                look.count()
                self._save()
        finally:
            self._lock.release()

    def status(self) -> HeartStatus:
        """What it has done, as of the end of the last beat or glance. Waits for nothing."""
        return self._status

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            finally:
                self._status = self._told()

    def _told(self) -> HeartStatus:
        return HeartStatus(
            beats=self._beats,
            silent=self._silent,
            silences=dict(self._silences),
            oversize=self._oversize,
            split=self._split,
            size=self._size,
            coarse=len(self._teller.coarse),
            untold=self._teller.cut,
            old_workers=sum(look.old_workers for look in self._looks.values()),
            unsaved=self._unsaved,
            destinations=tuple(msgspec.structs.replace(each) for each in self._controllers.destinations),
        )

    def _run(self) -> None:
        due = self._clock.monotonic()
        while not self._stopping:
            now = self._clock.monotonic()
            try:
                if now >= due:
                    due = max(due + self._settings.current.heartbeat_interval, now)
                    self.beat()
                else:
                    self.glance()
            except Exception:  # noqa: BLE001 - it is told, and the next beat may be better: silence costs the load balancer its amphora
                _log.exception("heartbeat failed")
                with self._locked():
                    self._silences["failed"] += 1
            wait = due - self._clock.monotonic()
            if wait > 0 and self._wake.wait(min(wait, _GLANCE)):
                self._wake.clear()
                due = self._clock.monotonic()

    def _on_settings(self, _: Settings) -> None:
        self._wake.set()

    def _beat(self, settings: Settings) -> str | None:
        """Sends a beat, or says why not."""
        self._controllers.follow(settings.controllers)
        try:
            seen = self._look()
        except AgentError as error:
            return str(error)
        if self._keepalived_missing():
            return "keepalived is configured and does not run"
        if settings.amphora_id is None or settings.heartbeat_key is None:
            return "the settings have no amphora_id or no heartbeat_key"
        if not settings.controllers:
            return "the settings name no controller"
        return self._tell(settings.amphora_id, settings.heartbeat_key, seen)

    def _look(self) -> Seen:
        listeners: dict[str, ListenerState] = {}
        pools: dict[str, PoolState] = {}
        for look in self._follow_loadbalancers().values():
            for attempt in range(_ATTEMPTS):
                try:
                    seen = look.look()
                except NotRunning:
                    # Without one, its listeners are not told, which is what the receiver needs to know.
                    if attempt + 1 < _ATTEMPTS:
                        self._clock.sleep(_PAUSE)
                    continue
                listeners |= seen.listeners
                pools |= seen.pools
                break
        if self._lvs is not None:
            seen = self._lvs.look(self._ledger)
            listeners |= seen.listeners
            pools |= seen.pools
        return Seen(listeners, pools)

    def _follow_loadbalancers(self) -> dict[str, HaproxyLook]:
        present = self._loadbalancers()
        for lb in self._looks.keys() - present:
            self._looks.pop(lb).close()
            for worker in [key for key in self._ledger.seen if key.startswith(f"{lb}/")]:
                self._ledger.finish(worker)
        for lb in present:
            if lb not in self._looks:
                sockets = Sockets((self._paths.admin_socket(lb), self._paths.stats_socket(lb)), self._paths.master_socket(lb))
                self._looks[lb] = HaproxyLook(lb, sockets, self._ledger, self._clock, proc=self._proc)
        return self._looks

    def _tell(self, amphora_id: str, key: str, seen: Seen) -> str | None:
        probed = {name: state._replace(counts=Counts()) for name, state in seen.listeners.items()}
        reasons = []
        for _ in self._controllers.destinations:
            destination = self._controllers.turn()
            if self._controllers.refused(destination):
                # What it was sent last has not come in. Whether it listens now, a message without counts finds out.
                self._take_back(destination)
                reasons.append(f"{destination.endpoint}: {destination.error}")
                probe = next(self._parts(amphora_id, key, probed, probed, seen.pools))
                self._controllers.send(probe.datagram, destination)
                continue
            counts = self._ledger.take(seen.listeners)
            # Before they leave: should we be ended now, they are lost rather than told twice.
            self._save()
            listeners = {name: state._replace(counts=counts.get(name, Counts())) for name, state in seen.listeners.items()}
            if self._send(destination, counts, self._parts(amphora_id, key, listeners, probed, seen.pools)):
                return None
            reasons.append(f"{destination.endpoint}: {destination.error}")
        return "; ".join(reasons)

    def _parts(self, amphora_id: str, key: str, first: Listeners, others: Listeners, pools: Pools) -> Iterator[Part]:
        def sealed(part: Pools, number: int) -> bytes:
            return seal(document(amphora_id, self._sequence + number, others if number else first, part), key)

        return self._teller.parts(len(first), pools, sealed)

    def _send(self, destination: Destination, counts: Mapping[str, Counts], parts: Iterator[Part]) -> bool:
        sent: list[Part] = []
        for part in parts:
            if sent:
                self._clock.sleep(_APART)
            if len(part.datagram) > LARGEST:
                self._oversize += 1
            if not self._controllers.send(part.datagram, destination):
                break
            self._teller.sent(part)
            sent.append(part)
        else:
            self._controllers.fine(destination)
        self._sequence += len(sent)
        self._split += max(len(sent) - 1, 0)
        if sent:
            # The first one had the counts.
            self._size = sum(len(part.datagram) for part in sent)
            self._unconfirmed[str(destination.endpoint)] = (counts, sent)
        else:
            self._ledger.give_back(counts)
        return bool(sent)

    def _take_back(self, destination: Destination) -> None:
        counts, parts = self._unconfirmed.pop(str(destination.endpoint), ({}, []))
        self._ledger.give_back(counts)
        for part in parts:
            self._teller.lost(part)

    def _load(self) -> Ledger:
        try:
            boot = (self._proc / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        except OSError:
            boot = ""
        try:
            return counters.load(self._file, boot)
        except (OSError, ValueError) as error:
            _log.exception("what was told before is forgotten", file=str(self._file), error=str(error))
            return Ledger(boot)

    def _save(self) -> None:
        """Makes the ledger safe, and lets workers go that are not needed then."""
        content = msgspec.json.encode(self._ledger)
        if content != self._saved:
            try:
                counters.save(content, self._file)
            except OSError as error:
                if self._unsaved is None:
                    _log.warning("counters cannot be saved", file=str(self._file), error=str(error))
                self._unsaved = str(error)
            else:
                self._saved, self._unsaved = content, None
        for look in self._looks.values():
            look.let_go()
