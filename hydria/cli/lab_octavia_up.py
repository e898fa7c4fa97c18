"""`hydria lab octavia up`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from agent.errors import SystemFault
from hydria.cli import FINE
from hydria.cli.inputs import json_option
from hydria.cli.lab_common import must_be_root, name_option
from hydria.cli.octavia_python import python_with_octavia
from hydria.cli.output import visible
from hydria.cli.status_line import status_line
from hydria.lab.keystone import ADMIN, SHELL, shell
from hydria.lab.octavia_building import build
from hydria.lab.octavia_plan import DRIVERS, MACHINES, MOST_MEMBERS, OctaviaPlan
from hydria.lab.octavia_servers import servers
from hydria.lab.uml_machine import why_not

if TYPE_CHECKING:
    from hydria.cli.output import Output
    from hydria.lab.octavia_plan import Driver, Machines


@click.command()
@name_option
@click.option("--members", metavar="N", type=click.IntRange(0, MOST_MEMBERS), default=3, show_default=True, help="Servers to be members.")
@click.option(
    "--topology",
    type=click.Choice(["single", "active-standby"]),
    default="single",
    show_default=True,
    help="Of load balancers whose flavor says nothing: one amphora or a pair.",
)
@click.option(
    "--driver",
    type=click.Choice(list(DRIVERS)),
    default="hydria",
    show_default=True,
    help="What drives amphorae: Hydria's driver, or the one that Octavia brings.",
)
@click.option(
    "--machines",
    type=click.Choice(list(MACHINES)),
    default="namespaces",
    show_default=True,
    help="What amphorae are whose flavor says nothing: namespaces, or kernels of their own (user-mode Linux), which serve UDP wherever this is.",
)
@click.option("--port", metavar="N", type=click.IntRange(1, 65_535), help="Of the API on 127.0.0.1.  [default: 9876, or the next free one]")
@click.option("--beats", metavar="SECONDS", type=click.IntRange(1, 3600), default=3, show_default=True, help="Between two heartbeats.")
@click.option(
    "--patience",
    metavar="SECONDS",
    type=click.IntRange(2, 86_400),
    default=30,
    show_default=True,
    help="Without a heartbeat, until Octavia fails an amphora over.",
)
@click.option(
    "--db",
    metavar="URL",
    envvar="HYDRIA_OCTAVIA_DB",
    help="An empty database of PostgreSQL or MariaDB, which `down` empties again: postgresql://USER:PASSWORD@HOST/NAME, mysql://…  [default: SQLite]",
)
@click.option(
    "--transport",
    metavar="URL",
    envvar="HYDRIA_OCTAVIA_TRANSPORT",
    help="A virtual host of RabbitMQ, rabbit://USER:PASSWORD@HOST/VHOST; API and worker are two processes then.  [default: within one process]",
)
@click.option(
    "--jobboard",
    metavar="URL",
    envvar="HYDRIA_OCTAVIA_JOBBOARD",
    help="A Redis, redis://:PASSWORD@HOST:PORT/NUMBER: what a worker that dies leaves undone, a second one does. Wants --transport.",
)
@click.option(
    "--keystone", is_flag=True, help="With a Keystone, a project and users who have passwords; without, whoever asks is an administrator."
)
@click.option(
    "--python",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="HYDRIA_OCTAVIA_PYTHON",
    help="The interpreter of an environment with hydria[octavia].  [default: this command's own]",
)
@json_option
@click.pass_obj
def up(
    output: Output,
    *,
    name: str,
    members: int,
    topology: str,
    driver: str,
    machines: str,
    port: int | None,
    beats: int,
    patience: int,
    db: str | None,
    transport: str | None,
    jobboard: str | None,
    keystone: bool,
    python: Path | None,
) -> int:
    """Start Octavia in a lab, with networks (public, private), members and clients, and print what a shell is to know for `openstack`.

    Then `openstack loadbalancer create --vip-subnet-id public-subnet …` makes load balancers that serve: `hydria lab shell` is where their clients
    are. Ctrl-C leaves nothing behind; after worse, `hydria lab octavia down` does.
    """
    must_be_root()
    began = time.monotonic()
    if machines == "uml" and (reason := why_not()):
        raise SystemFault(reason)
    wanted = OctaviaPlan(
        name=name,
        port=port or 0,
        pair=topology == "active-standby",
        driver=cast("Driver", driver),
        machines=cast("Machines", machines),
        members=members,
        beats=beats,
        patience=patience,
    )
    named = servers(db, transport, jobboard)
    more = {driver.module: driver.package for driver in named.drivers}
    interpreter = python_with_octavia(python, {**more, **({"keystone": "keystone"} if keystone else {})})
    with status_line(output) as write:
        lab = build(wanted, interpreter, lambda step: write(f"making {step}"), servers=named, with_keystone=keystone)
    plan, environment = lab.octavia, lab.environment
    if output.json:
        output.document(
            {
                "ok": True,
                "lab": name,
                "directory": str(lab.directory),
                "endpoint": plan.endpoint,
                "environment": environment,
                "members": plan.places,
                "seconds": round(time.monotonic() - began, 1),
            }
        )
        return FINE
    click.echo(visible(shell(environment)))
    output.note(f"lab {name}: Octavia's API is at {plan.endpoint}, its files are in {lab.directory}")
    if keystone:
        output.note(
            f"Keystone is at {plan.identity}; what a shell is told for the administrator is in {lab.directory / SHELL.format(ADMIN)}"
        )
    if db:
        output.note("`hydria lab octavia down` removes all tables of that database")
    output.note(
        "subnets: public-subnet 192.0.2.0/24 and ipv6-public-subnet for VIPs, private-subnet 198.51.100.0/24 and ipv6-private-subnet for members"
    )
    for member, addresses in plan.places.items():
        output.note(f"  {member}: {', '.join(addresses)}; HTTP at 80, TLS at 443, UDP at 53")
    output.note("hydria lab shell is where clients are")
    return FINE
