"""`hydria status`: what agents serve, and how it fares."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import click
import msgspec

import compiler
from agent.errors import NotFoundError
from agent.statistics import Row
from compiler.index import walk
from hydria.cli import FINE, SYSTEM
from hydria.cli.agent_view import show
from hydria.cli.agents import Agents, agents_options, lb_option, loadbalancer, title, who
from hydria.cli.inputs import json_option
from hydria.cli.output import visible
from hydria.cli.statistics import Line
from hydria.cli.statistics_view import picture

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.client import AgentClient
    from agent.outcomes import GenerationInfo, Status
    from hydria.cli.output import Output

#: Rows of a table.
_MOST = 500


@click.command()
@agents_options
@lb_option
@click.option("--history", is_flag=True, help="The generations that are kept, too, and how each came into force.")
@json_option
@click.pass_context
def status(context: click.Context, *, agents: Agents, given_lb: str | None, history: bool) -> int:
    """Say what agents serve and how it fares: generation, listeners, pools, members, workers that reloads have left behind.

    All load balancers, unless --lb names one. Ends with 3 where one of them should serve and does not.
    """
    output: Output = context.obj
    clients = agents.clients()
    wanted = loadbalancer(context, given_lb, clients) if given_lb is not None else None
    told: list[dict[str, Any]] = []
    states = set()
    for client in clients:
        lbs = []
        for lb in [wanted] if wanted is not None else client.loadbalancers():
            found = client.loadbalancer_status(lb)
            generations = client.generations(lb) if history else None
            states.add(found.state)
            lbs.append(msgspec.to_builtins(found) | ({} if generations is None else {"generations": msgspec.to_builtins(generations)}))
            if not output.json:
                _show(client, found, generations)
        if not lbs and not output.json:
            click.echo(f"{title(client)}: no load balancer")
        told.append(who(client) | {"loadbalancers": lbs})
    if output.json:
        output.document({"ok": "ERROR" not in states, "agents": told})
    return SYSTEM if "ERROR" in states else FINE


def _show(client: AgentClient, found: Status, generations: list[GenerationInfo] | None) -> None:
    names = _names(client, found.loadbalancer)
    head = f"{title(client)}: load balancer {names.get(found.loadbalancer, found.loadbalancer)}"
    rows = [Line(msgspec.structs.replace(row, id=_name(row, names)), None) for row in found.rows]
    show(picture(head, rows, _MOST, ()))
    for line in _facts(found):
        click.echo(f"  {visible(line)}")
    for one in generations or ():
        click.echo(f"  {visible(_generation(one))}")


def _facts(found: Status) -> list[str]:
    lines = [f"state: {found.state}; generation {found.generation} serves  {found.etag}"]
    if found.vip_here is not None:
        lines.append(f"VIP: {'here' if found.vip_here else 'not here'}")
    if found.step:
        lines.append(f"change in progress: {found.step}")
    if found.trial is not None:
        then = f"generation {found.trial.back_to} serves again" if found.trial.back_to else "it is removed"
        lines.append(f"on trial: in {found.trial.left:.0f} seconds {then}, unless: hydria confirm --lb {found.loadbalancer}")
    lines += [
        f"old worker: process {worker.pid}, {worker.connections} connections, {worker.uptime} seconds old" for worker in found.old_workers
    ]
    lines += [f"leaving: {server}, {connections} connections" for server, connections in found.leaving.items()]
    return lines


def _generation(one: GenerationInfo) -> str:
    made = dt.datetime.fromtimestamp(one.made, dt.UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    how = f", {one.outcome.way}" if one.outcome is not None else ""
    back = f", rolled back to {one.rolled_back_to}" if one.rolled_back_to is not None else ""
    refused = f": {one.refused.strip().splitlines()[-1]}" if one.refused.strip() else ""
    return f"generation {one.number}: {made}, {one.state}{how}{back}{refused}"


def _names(client: AgentClient, lb: str) -> Mapping[str, str]:
    """Id → name, of what has one; nothing where no graph has made it."""
    try:
        graph = compiler.load(client.loadbalancer_graph(lb).text)
    except NotFoundError:
        return {}
    return {node.id: f"{node.name} ({node.id})" if node is graph else node.name for node, _ in walk(graph) if node.name}


def _name(row: Row, names: Mapping[str, str]) -> str:
    return names.get(row.id, row.id)
