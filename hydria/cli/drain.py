"""`hydria drain`: gives a member no new clients, and tells when those that it has are gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

import compiler
from agent.errors import NotFoundError
from compiler.graph_changes import place
from compiler.index import Index
from hydria.cli import FINE
from hydria.cli.agents import Agents, agents_options, lb_option, loadbalancer, title, who
from hydria.cli.ending import ended_by_signals
from hydria.cli.inputs import json_option
from hydria.cli.status_line import status_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.client import AgentClient
    from agent.outcomes import Drain
    from compiler.graph import Member
    from hydria.cli.ending import Ending
    from hydria.cli.output import Output

_WEEK = 7 * 24 * 3600
#: Seconds between two looks.
_BETWEEN = 1.0


@click.command()
@click.argument("given_member", metavar="MEMBER")
@agents_options
@lb_option
@click.option(
    "--within",
    metavar="SECONDS",
    type=click.FloatRange(0, _WEEK),
    default=300,
    show_default=True,
    help="After that, connections that are left are ended.",
)
@click.option("--no-wait", is_flag=True, help="End when agents have been told.")
@click.option("--cancel", is_flag=True, help="Give a drained member its share again.")
@json_option
@click.pass_context
def drain(
    context: click.Context,
    *,
    given_member: str,
    agents: Agents,
    given_lb: str | None,
    within: float,
    no_wait: bool,
    cancel: bool,
) -> int:
    """Give MEMBER (its id, its name, or ADDRESS:PORT) no new clients, and wait until those that it has are gone.

    Clients that session persistence knows still come to it. Ctrl-C ends the waiting, not the draining. It goes on over reloads; an agent that is
    started anew forgets it. For good, give the member the weight 0 in the graph, or take it out.
    """
    output: Output = context.obj
    clients = agents.clients()
    lb = loadbalancer(context, given_lb, clients)
    member = _member(clients[0], lb, given_member)
    if cancel:
        for client in clients:
            client.undrain(lb, member)
            output.note(f"{title(client)}: it gets its share again")
        if output.json:
            output.document({"ok": True, "loadbalancer": lb, "member": member, "agents": [who(client) for client in clients]})
        return FINE
    state = {client: client.drain(lb, member, within) for client in clients}
    with ended_by_signals() as ending:
        if not no_wait:
            _wait(output, state, ending)
    _tell(output, lb, member, state)
    return FINE


def _wait(output: Output, state: dict[AgentClient, Drain], ending: Ending) -> None:
    with status_line(output) as write:
        while any(drain.state == "draining" for drain in state.values()):
            connections = sum(drain.connections for drain in state.values())
            left = max(drain.left for drain in state.values())
            write(f"{connections} connection{'' if connections == 1 else 's'} left, for {left:.0f} seconds at most")
            if ending.wait(_BETWEEN):
                break
            for client, drain in state.items():
                state[client] = client.drain_progress(drain.loadbalancer, drain.member)


def _tell(output: Output, lb: str, member: str, state: dict[AgentClient, Drain]) -> None:
    if output.json:
        agents = [who(client) | msgspec.to_builtins(drain) for client, drain in state.items()]
        output.document({"ok": True, "loadbalancer": lb, "member": member, "agents": agents})
        return
    for client, drain in state.items():
        words = {
            "draining": f"{drain.connections} connections left, ended in {drain.left:.0f} seconds",
            "drained": "no connection left",
            "ended": "no connection left; the last ones were ended",
        }[drain.state]
        click.echo(f"{title(client)}: {words}")


def _member(client: AgentClient, lb: str, given: str) -> str:
    """The id of the member that is meant. Raises NotFoundError; click.UsageError where it could be several."""
    members = [member for pool in Index(compiler.load(client.loadbalancer_graph(lb).text)).pools.values() for member in pool.members]
    for meant in (lambda member: member.id, lambda member: member.name, place):
        found = [member for member in members if meant(member) == given]
        if len(found) > 1:
            raise click.UsageError(f"{given!r} may be {len(found)} members: {_ids(found)}")
        if found:
            return found[0].id
    raise NotFoundError(f"load balancer {lb} has no member {given}")


def _ids(members: Sequence[Member]) -> str:
    return ", ".join(member.id for member in members)
