"""`HydriaAmphoraDriver`: Octavia's own amphora driver, but that load balancers go to Hydria's amphorae as graphs.

Which amphora is which is asked every time, because one that failed over may be of the other kind. Whatever is not about listeners (plugging,
VRRP, certificates and settings of agents) both kinds take by the 1.0 contract, and is inherited.
"""

from __future__ import annotations

from typing import Any

import msgspec
from octavia.amphorae.drivers.haproxy.rest_api_driver import HaproxyAmphoraLoadBalancerDriver
from octavia.common import constants
from octavia.db import api as database
from octavia.db.repositories import ListenerRepository
from oslo_config import cfg
from oslo_log import log

from hydria.octavia import settings
from hydria.octavia.agents import Agents
from hydria.octavia.graphs import graph_of
from hydria.octavia.material import Material
from hydria.octavia.targets import target_of

_LOG = log.getLogger(__name__)


class HydriaAmphoraDriver(HaproxyAmphoraLoadBalancerDriver):  # type: ignore[misc] # Octavia has no types
    """Octavia calls it as it calls the driver that this one is made from; `timeout_dict` is its patience with an amphora."""

    def __init__(self) -> None:
        super().__init__()
        settings.register(cfg.CONF)
        self._agents = Agents(cfg.CONF)

    def update_amphora_listeners(self, loadbalancer: Any, amphora: Any, timeout_dict: Any = None) -> None:
        """Has the amphora serve all listeners."""
        if not loadbalancer.listeners or amphora is None or amphora.status == constants.DELETED:
            return
        if self._agents.speaks_graphs(amphora, timeout_dict):
            self._put(loadbalancer, loadbalancer.listeners, amphora, timeout_dict)
        else:
            super().update_amphora_listeners(loadbalancer, amphora, timeout_dict)

    def start(self, loadbalancer: Any, amphora: Any = None, timeout_dict: Any = None) -> None:
        """Has the amphora, or all of them, serve."""
        for each in _living(loadbalancer.amphorae if amphora is None else [amphora]):
            if not self._put_again(loadbalancer, each, timeout_dict):
                super().start(loadbalancer, each, timeout_dict)

    def reload(self, loadbalancer: Any, amphora: Any = None, timeout_dict: Any = None) -> None:
        """As `start`: what a reload would be for is in the graph."""
        for each in _living(loadbalancer.amphorae if amphora is None else [amphora]):
            if not self._put_again(loadbalancer, each, timeout_dict):
                super().reload(loadbalancer, each, timeout_dict)

    def delete(self, listener: Any) -> None:
        """Ends a listener at all amphorae; the last one takes the load balancer along."""
        load_balancer = listener.load_balancer
        left = [each for each in load_balancer.listeners if each.id != listener.id]
        for amphora in _living(load_balancer.amphorae):
            if not self._agents.speaks_graphs(amphora):
                self._delete_by_files(listener, amphora)
            elif left:
                self._put(load_balancer, left, amphora)
            else:
                self._agents.ask(amphora, lambda client: client.delete_loadbalancer(load_balancer.id))

    def _delete_by_files(self, listener: Any, amphora: Any) -> None:
        """What the inherited `delete` does with all amphorae, with one."""
        if listener.protocol in constants.LVS_PROTOCOLS:
            self._populate_amphora_api_version(amphora)
            self.clients[amphora.api_version].delete_listener(amphora, listener.id)
        else:
            self._combined_config_delete(amphora, listener)

    def _put_again(self, load_balancer: Any, amphora: Any, patience: Any) -> bool:
        """Whether the amphora is Hydria's; then it serves what there is to serve, from now on at the latest."""
        if not self._agents.speaks_graphs(amphora, patience):
            return False
        if load_balancer.listeners:
            self._put(load_balancer, load_balancer.listeners, amphora, patience)
        return True

    def _put(self, load_balancer: Any, listeners: list[Any], amphora: Any, patience: Any = None) -> None:
        material = Material(self.cert_manager)
        usable, failed = material.usable(listeners)
        graph = graph_of(load_balancer, usable, settings.defaults(cfg.CONF))
        text, target = msgspec.json.encode({"loadbalancer": graph}), target_of(load_balancer, amphora)
        outcome = self._agents.ask(
            amphora, lambda client: client.put_loadbalancer(load_balancer.id, text, material.secrets, target=target), patience
        )
        _LOG.info(
            "Hydria: amphora %s serves load balancer %s as generation %s, by %s%s",
            *(amphora.id, load_balancer.id, outcome.generation, outcome.way),
            "".join(f"; {reason}" for reason in outcome.reasons),
        )
        for each in failed:
            _set_to_error(each)


def _living(amphorae: list[Any]) -> list[Any]:
    return [each for each in amphorae if each.status != constants.DELETED]


def _set_to_error(listener: Any) -> None:
    """As Octavia's own driver does with a listener that it has to leave out."""
    with database.session().begin() as session:
        ListenerRepository().update(session, listener.id, provisioning_status=constants.ERROR, operating_status=constants.ERROR)
