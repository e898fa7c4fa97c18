"""`hydria web`: a status page of agents, for a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hydria.cli.agents import Agents, agents_options
from hydria.cli.inputs import json_option
from hydria.cli.web_serving import Place, place_options, show_page

if TYPE_CHECKING:
    from hydria.cli.output import Output


@click.command()
@agents_options
@place_options
@json_option
@click.pass_obj
def web(output: Output, *, agents: Agents, place: Place) -> int:
    """Show a browser what agents serve: load balancers, amphorae and who has the VIPs, traffic as it flows, members, what was changed and whose clients
    moved, certificates' ends. Until Ctrl-C.

    The page changes nothing, and asks nobody who they are: it is on this machine alone unless --listen says otherwise. Agents are asked over mutual
    TLS as by `hydria status`, also by several --agent.
    """
    from hydria.web.fleets import Named  # noqa: PLC0415 - as in `show_page`

    return show_page(output, Named(agents.clients()), place)
