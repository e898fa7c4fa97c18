"""`HydriaProviderDriver`: Octavia's own provider of amphorae, but that its API takes what Hydria's amphorae can do, and refuses what they would.

Octavia's API asks a provider before anything is made. Its own knows what its amphorae can do; this one differs where Hydria's can more
(SOURCE_IP_PORT), and where they would refuse: that is said to whoever asks, and is not an ERROR of something that was made. Everything else (flavors,
availability zones, what the worker is told) is inherited, so that load balancers of either provider are the same for all that comes after.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from octavia.api.drivers.amphora_driver.v2.driver import AmphoraProviderDriver
from octavia.db import api as database
from octavia_lib.api.drivers import exceptions
from octavia_lib.common import constants
from oslo_config import cfg

from hydria.octavia import refusals

if TYPE_CHECKING:
    from collections.abc import Sequence

#: What `[controller_worker] amphora_driver` is where amphorae get graphs.
_DRIVER = "hydria"


class HydriaProviderDriver(AmphoraProviderDriver):  # type: ignore[misc] # Octavia has no types
    """Octavia makes one for each request. Without `amphora_driver = hydria` it is Octavia's own."""

    def health_monitor_create(self, healthmonitor: Any) -> None:
        """Has it made, if it can be."""
        self._judge_monitor(healthmonitor.pool_id, healthmonitor.to_dict())
        super().health_monitor_create(healthmonitor)

    def health_monitor_update(self, old_healthmonitor: Any, new_healthmonitor: Any) -> None:
        """Has it changed, if it can become that."""
        self._judge_monitor(old_healthmonitor.pool_id, old_healthmonitor.to_dict() | new_healthmonitor.to_dict())
        super().health_monitor_update(old_healthmonitor, new_healthmonitor)

    def l7rule_create(self, l7rule: Any) -> None:
        """Has it made, if it can be."""
        self._judge_rule(l7rule.l7policy_id, l7rule.to_dict())
        super().l7rule_create(l7rule)

    def l7rule_update(self, old_l7rule: Any, new_l7rule: Any) -> None:
        """Has it changed, if it can become that."""
        self._judge_rule(old_l7rule.l7policy_id, old_l7rule.to_dict() | new_l7rule.to_dict())
        super().l7rule_update(old_l7rule, new_l7rule)

    def _validate_pool_algorithm(self, pool: Any) -> None:
        if pool.lb_algorithm == constants.LB_ALGORITHM_SOURCE_IP_PORT and _has_graphs():
            return
        super()._validate_pool_algorithm(pool)

    def _judge_monitor(self, pool: str, monitor: dict[str, Any]) -> None:
        if _has_graphs():
            session = database.get_session()
            with session.begin():
                protocol = self.repositories.pool.get(session, id=pool).protocol
            _refuse(refusals.of_monitor(monitor, protocol))

    def _judge_rule(self, policy: str, rule: dict[str, Any]) -> None:
        if _has_graphs():
            session = database.get_session()
            with session.begin():
                protocol = self.repositories.l7policy.get(session, id=policy).listener.protocol
            _refuse(refusals.of_rule(rule, protocol))


def _has_graphs() -> bool:
    """Whether it is Hydria's driver that amphorae are driven by."""
    return bool(cfg.CONF.controller_worker.amphora_driver == _DRIVER)


def _refuse(reasons: Sequence[str]) -> None:
    """Raises UnsupportedOptionError where there are any: 501 with these words for who has asked."""
    if reasons:
        told = "; ".join(reasons)
        raise exceptions.UnsupportedOptionError(user_fault_string=told, operator_fault_string=told)
