"""`hydria lab up`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

import compiler
from agent.errors import GraphRefused
from agent.settings import Endpoint
from compiler import ProblemError
from hydria import secret_files
from hydria.cli import FINE, forecasts, inputs
from hydria.cli.lab_common import must_be_root, name_option
from hydria.cli.output import visible
from hydria.cli.status_line import status_line
from hydria.lab.building import build
from hydria.lab.topology import Wishes

if TYPE_CHECKING:
    from compiler.secrets import Secret
    from hydria.cli.output import Output


@click.command()
@inputs.graph_argument
@name_option
@click.option(
    "--topology",
    type=click.Choice(["single", "active-standby"]),
    default="active-standby",
    show_default=True,
    help="One amphora or a pair.",
)
@click.option("--members", metavar="N", type=click.IntRange(0, 5000), help="So many in each pool.  [default: those of the graph]")
@inputs.secrets_option
@click.option(
    "--advert",
    metavar="MS",
    type=click.IntRange(10, 40_950),
    default=100,
    show_default=True,
    help="Between two messages of VRRP: the master is missed after three and a bit.",
)
@click.option("--preempt", is_flag=True, help="amphora-1 takes the VIPs back whenever it can.")
@click.option("--beats", metavar="SECONDS", type=click.IntRange(1, 3600), default=1, show_default=True, help="Between two heartbeats.")
@inputs.json_option
@click.pass_obj
def up(
    output: Output,
    *,
    source: inputs.Source,
    name: str,
    topology: str,
    members: int | None,
    secrets: Path | None,
    advert: int,
    preempt: bool,
    beats: int,
) -> int:
    """Make a lab for GRAPH: amphorae with agents that are given it, members that answer, and clients; return when all of it serves.

    Members get addresses in the lab and keep their ports. Certificates that --secrets does not have are made: for NAME.example and *.NAME.example where
    the reference's last part is NAME. Ctrl-C leaves nothing behind; after worse, `hydria lab down` does.
    """
    must_be_root()
    began = time.monotonic()
    wishes = Wishes(
        pair=topology == "active-standby", members=members, advert_interval=advert - advert % 10, preempt=preempt, heartbeat_interval=beats
    )
    try:
        with status_line(output) as write:
            lab = build(name, source.text, wishes, _given(source, secrets), lambda step: write(f"making {step}"))
    except ProblemError as error:
        return forecasts.refused(output, source, inputs.placed(source, error.problems))
    except GraphRefused as error:
        return forecasts.refused(output, source, forecasts.why(source, error))
    listeners = [f"{one.protocol} {Endpoint(vip, one.port)}" for one in lab.plan.listeners for vip in lab.plan.vips]
    if output.json:
        output.document(
            {
                "ok": True,
                "lab": name,
                "directory": str(lab.directory),
                "vips": lab.plan.vips,
                "amphorae": [one.name for one in lab.plan.amphorae],
                "members": [one.name for one in lab.plan.backends],
                "master": lab.holders(),
                "seconds": round(time.monotonic() - began, 1),
            }
        )
        return FINE
    click.echo(visible(f"lab {name}: {len(lab.plan.amphorae)} amphora{'e' if lab.plan.pair else ''}, {len(lab.plan.backends)} members"))
    for listener in listeners:
        click.echo(visible(f"  {listener}"))
    output.note(
        f"it is in {lab.directory}; hydria lab shell, then: curl http://{_host(lab.plan.vips[0])}/ (its authority: {lab.directory}/ca.pem)"
    )
    return FINE


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _given(source: inputs.Source, secrets: Path | None) -> dict[str, Secret]:
    """What the user has; the rest is made."""
    found = secret_files.resolve(compiler.secret_references(compiler.load(source.text)), secrets, source.base)
    return dict(found)
