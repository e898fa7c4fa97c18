"""Load in the background of something else: a thread where the lab's clients are."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

from agent.errors import NotFoundError
from hydria.lab.lab import CLIENTS
from hydria.lab.load import Aim, Load
from hydria.lab.namespaces import inside

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hydria.lab.lab import Lab
    from hydria.lab.load import Result

_PLAIN = ("HTTP", "TCP")


def aim(lab: Lab, listener: str | None = None, *, path: str = "/", host: str = "lab.example") -> Aim:
    """All VIPs of a lab at a listener's port, the first one without TLS where none is named, from all clients. Raises NotFoundError."""
    found = [one for one in lab.plan.listeners if one.protocol in _PLAIN and listener in (None, one.name)]
    if not found:
        known = ", ".join(one.name for one in lab.plan.listeners if one.protocol in _PLAIN)
        raise NotFoundError(f"there is no listener {listener or 'without TLS'} that can be asked; there are {known or 'none'}")
    sources = [client for subnet in lab.plan.subnets for client in subnet.clients]
    return Aim(lab.plan.vips, found[0].port, sources, host, path)


def forwarders(lab: Lab) -> dict[str, str]:
    """The address that members see → the amphora."""
    return {address.partition("/")[0]: one.name for one in lab.plan.amphorae for address in one.members}


class Loading:
    """`rate` requests a second for `seconds`. A context manager: leaving it begins no more and waits for those in progress.

    `amphorae`: the address that members see → the amphora, where the lab's plan has none.
    """

    def __init__(self, lab: Lab, wanted: Aim, rate: float, seconds: float = 86_400, *, amphorae: Mapping[str, str] | None = None) -> None:
        self._load = Load(wanted, forwarders(lab) if amphorae is None else amphorae, rate)
        self._seconds = seconds
        self._namespace = lab.network(CLIENTS)
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._load.stop()
        self._thread.join()

    @property
    def results(self) -> list[Result]:
        """What came of the requests that have ended."""
        return list(self._load.results)

    @property
    def goes_on(self) -> bool:
        """Whether there are still some to come."""
        return self._thread.is_alive()

    @property
    def began_at(self) -> float:
        """When it began, in seconds since 1970."""
        return self._load.began_at

    def now(self) -> float:
        """Seconds since it began."""
        return self._load.now()

    def _run(self) -> None:
        with inside(self._namespace):
            self._load.run(self._seconds)
