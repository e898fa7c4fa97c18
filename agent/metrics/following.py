"""`Following`: has metrics be translated for those load balancers that serve, and whose configuration has a PROMETHEUS listener."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from agent import program_names
from agent.metrics.places import Places, places

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agent.metrics.exporters import Exporters
    from agent.paths import Paths
    from agent.services.programs import Services

_LOG = structlog.get_logger("agent.metrics")


class Following:
    """`loadbalancers()` gives those that there are, by id."""

    def __init__(self, paths: Paths, services: Services, loadbalancers: Callable[[], list[str]], exporters: Exporters) -> None:
        self._paths = paths
        self._services = services
        self._loadbalancers = loadbalancers
        self._exporters = exporters

    def follow(self) -> None:
        """Looks what there is now. Whoever calls has other things to do, so nothing is raised: what fails is logged."""
        self._exporters.follow(self._wanted())

    def _wanted(self) -> Iterator[Places]:
        running = self._services.programs()
        for lb in self._loadbalancers():
            if program_names.haproxy(lb) in running:
                try:
                    found = places(self._paths.haproxy_cfg(lb).read_bytes())
                except OSError as error:
                    _LOG.warning("configuration cannot be read", loadbalancer=lb, error=str(error))
                    continue
                if found is not None:
                    yield found
