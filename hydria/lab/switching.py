"""A switch of a pair that is wanted: the amphora that has the VIPs resigns, once the other one is known to be fit."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from agent.errors import AgentError, ConflictError, SystemFault

if TYPE_CHECKING:
    from agent.outcomes import Resigned
    from hydria.lab.lab import Lab

#: Seconds.
_PATIENCE = 10.0
_BETWEEN = 0.02


def switch(lab: Lab, within: float = 1.0) -> tuple[str, str, Resigned]:
    """Who had the VIPs, who has them, and what the first one said. Raises ConflictError where it would be of no use; AgentError, SystemFault."""
    if not lab.plan.pair:
        raise ConflictError("there is one amphora only; nobody could take over")
    holders = lab.holders()
    if len(holders) != 1:
        raise ConflictError(f"{' and '.join(holders) or 'nobody'} has the VIPs; `hydria lab heal` first")
    [master] = holders
    [other] = [one.name for one in lab.plan.amphorae if one.name != master]
    with lab.driving() as clients:
        _must_be_fit(lab, other)
        try:
            state = clients[other].loadbalancer_status(lab.plan.lb).state
        except AgentError as error:
            raise ConflictError(f"{other} could not take over: {error}") from error
        if state != "ACTIVE":
            raise ConflictError(f"{other} could not take over: its load balancer is {state}")
        said = clients[master].resign(lab.plan.lb, within)
    until = time.monotonic() + _PATIENCE
    while (now := lab.holders()) != [other]:
        if time.monotonic() > until:
            raise SystemFault(f"{master} has given the VIPs away, and {' and '.join(now) or 'nobody'} has them")
        time.sleep(_BETWEEN)
    lab.tell(f"switched from {master} to {other}")
    return master, other, said


def _must_be_fit(lab: Lab, amphora: str) -> None:
    if not any(one["name"].startswith("keepalived") for one in lab.processes(amphora)):
        raise ConflictError(f"{amphora} could not take over: keepalived does not run there")
