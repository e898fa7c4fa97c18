"""`hydria confirm`: keeps what was tried."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from agent.errors import NotFoundError
from hydria.cli import FINE
from hydria.cli.agents import Agents, agents_options, lb_option, loadbalancer, title, who
from hydria.cli.inputs import json_option

if TYPE_CHECKING:
    from hydria.cli.output import Output


@click.command()
@agents_options
@lb_option
@json_option
@click.pass_context
def confirm(context: click.Context, *, agents: Agents, given_lb: str | None) -> int:
    """Keep what `hydria try` has brought into force, so that agents do not take it back.

    Fails where nothing is on trial: it was confirmed, or has been taken back.
    """
    output: Output = context.obj
    clients = agents.clients()
    lb = loadbalancer(context, given_lb, clients)
    tags = {}
    for client in clients:
        # All of a pair, or none: one of them may have been the first to take it back.
        found = client.loadbalancer_status(lb).trial
        if found is None:
            raise NotFoundError(f"{title(client)}: nothing is on trial: it was confirmed, or taken back")
        tags[client.amphora_id] = found.etag
    kept = []
    for client in clients:
        trial = client.confirm(lb, if_match=tags[client.amphora_id])
        kept.append(who(client) | msgspec.to_builtins(trial))
        if not output.json:
            click.echo(f"{title(client)}: kept, generation {trial.generation} serves  {trial.etag}")
    if output.json:
        output.document({"ok": True, "loadbalancer": lb, "agents": kept})
    return FINE
