"""`hydria lab octavia status`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hydria.cli import FINE, SYSTEM
from hydria.cli.inputs import json_option
from hydria.cli.lab_common import must_be_root, name_option
from hydria.cli.output import visible
from hydria.lab.octavia_lab import found

if TYPE_CHECKING:
    from hydria.cli.output import Output

#: Of what is shown: the API's fields.
_BALANCER = ("id", "name", "vip_address", "provisioning_status", "operating_status")
_AMPHORA = ("id", "loadbalancer_id", "status", "role", "lb_network_ip", "compute_id")


@click.command()
@name_option
@json_option
@click.pass_obj
def status(output: Output, *, name: str) -> int:
    """Say which of Octavia's processes run, and which load balancers, amphorae and members there are. Ends with 3 where a process is missing."""
    must_be_root()
    lab = found(name)
    roles = lab.roles
    # Nobody answers where the API's process does not run.
    answering = roles["api"] is not None
    balancers = _fields(lab.ask("/v2.0/lbaas/loadbalancers")["loadbalancers"], _BALANCER) if answering else []
    amphorae = _fields(lab.ask("/v2.0/octavia/amphorae")["amphorae"], _AMPHORA) if answering else []
    members: dict[str, list[Any]] = lab.attendant("members")["members"]
    well = None not in roles.values()
    if output.json:
        output.document(
            {
                "ok": well,
                "lab": name,
                "directory": str(lab.directory),
                "endpoint": lab.octavia.endpoint,
                "processes": roles,
                "loadbalancers": balancers,
                "amphorae": amphorae,
                "members": {member: {"accepts": accepts, "answered": answered} for member, (accepts, answered) in members.items()},
            }
        )
        return FINE if well else SYSTEM
    lines = [
        f"lab {name}: {lab.octavia.endpoint}",
        *(f"  {role}: {'runs' if pid is not None else 'DOES NOT RUN'}" for role, pid in roles.items()),
        *(f"load balancer {' '.join(str(value) for value in one.values())}" for one in balancers),
        *(f"amphora {' '.join(str(value) for value in one.values() if value)}" for one in amphorae),
        *(f"{member}: {'' if accepts else 'refuses connections, '}answered {answered}" for member, (accepts, answered) in members.items()),
    ]
    for line in lines:
        click.echo(visible(line))
    return FINE if well else SYSTEM


def _fields(things: list[dict[str, Any]], names: tuple[str, ...]) -> list[dict[str, Any]]:
    return [{name: thing[name] for name in names} for thing in things]
