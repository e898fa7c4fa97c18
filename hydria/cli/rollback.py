"""`hydria rollback`: has agents serve what they served before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from hydria.cli import FINE
from hydria.cli.agents import Agents, agents_options, lb_option, loadbalancer, standby_first, title, who
from hydria.cli.change_view import show_outcome
from hydria.cli.inputs import json_option
from hydria.cli.status_line import steps_shown

if TYPE_CHECKING:
    from hydria.cli.output import Output


@click.command()
@agents_options
@lb_option
@click.option("--to", "number", metavar="GENERATION", type=click.IntRange(1), help="A generation that `hydria status --history` shows.")
@json_option
@click.pass_context
def rollback(context: click.Context, *, agents: Agents, given_lb: str | None, number: int | None) -> int:
    """Have agents serve what they served before what they serve now, with the secrets of then; it becomes a generation of its own.

    What is on trial (`hydria try`) is taken back at once. Generations of different agents have different numbers, so --to is for one agent.
    """
    output: Output = context.obj
    clients = agents.clients()
    if number is not None and len(clients) > 1:
        raise click.UsageError("--to is for one agent: generations of another one have other numbers")
    lb = loadbalancer(context, given_lb, clients)
    done = []
    for client in standby_first(clients, lb):
        trial = client.loadbalancer_status(lb).trial if number is None else None
        if trial is not None and not trial.back_to:  # what was before is nothing
            client.delete_loadbalancer(lb, if_match=trial.etag)
            done.append(who(client) | {"loadbalancer": lb, "generation": 0})
            output.note(f"{title(client)}: removed, as it was not there before")
            continue
        with steps_shown(output, client, lb, title(client)):
            outcome = client.rollback(lb, number)
        done.append(who(client) | msgspec.to_builtins(outcome))
        if not output.json:
            show_outcome(title(client), outcome)
    if output.json:
        output.document({"ok": True, "loadbalancer": lb, "agents": done})
    return FINE
