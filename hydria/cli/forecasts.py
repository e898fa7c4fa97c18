"""What agents say that a graph would do there; asked for, and shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import click
import msgspec

import compiler
from agent.errors import GraphRefused, NotFoundError
from compiler.graph_changes import ObjectChange, graph_changes
from compiler.moves import Moves
from compiler.problems import Problem, has_errors
from hydria import secret_files
from hydria.cli import FINE, PROBLEMS
from hydria.cli.agents import title, who
from hydria.cli.change_view import show_changes, show_way
from hydria.cli.inputs import Source, placed
from hydria.cli.moves_view import show as show_moves
from hydria.cli.output import Output, verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from agent.client import AgentClient
    from agent.outcomes import Forecast
    from compiler import LoadBalancer, Secrets


class Wanted(NamedTuple):
    """A graph that agents are to have: as it was given, and what goes with it. `hints`: what of the target they cannot know."""

    source: Source
    graph: LoadBalancer
    secrets: Secrets
    hints: Mapping[str, Any]

    @property
    def lb(self) -> str:
        """The id of the load balancer."""
        return self.graph.id


def wanted(source: Source, secrets: Path | None, hints: Mapping[str, Any]) -> Wanted:
    """Reads it. Raises ProblemError."""
    graph = compiler.load(source.text)
    return Wanted(source, graph, secret_files.resolve(compiler.secret_references(graph), secrets, source.base), hints)


class Told(NamedTuple):
    """What an agent says; the problems are in order, with their places in the graph."""

    client: AgentClient
    changes: list[ObjectChange]
    forecast: Forecast
    problems: list[Problem]


def ask(client: AgentClient, want: Wanted) -> Told:
    """What the graph would do there. Raises GraphRefused and what else `AgentClient.plan_loadbalancer` does."""
    forecast = client.plan_loadbalancer(want.lb, want.source.text, want.secrets, target=want.hints)
    return Told(client, graph_changes(_serving(client, want.lb), want.graph), forecast, problems(want.source, forecast.problems))


def tell(output: Output, want: Wanted, told: Sequence[Told], *, everything: bool) -> int:
    """Shows what the agents say."""
    if output.json:
        agents = [
            who(one.client)
            | msgspec.to_builtins(msgspec.structs.replace(one.forecast, problems=[]))
            | {"changes": msgspec.to_builtins(one.changes), "problems": msgspec.to_builtins(one.problems)}
            for one in told
        ]
        output.document({"ok": True, "graph": want.source.name, "loadbalancer": want.lb, "agents": agents})
        return FINE
    for one in told:
        serving = f"generation {one.forecast.generation} serves" if one.forecast.generation else "there is no such load balancer yet"
        click.echo(f"{title(one.client)}: {serving}")
        show_changes(one.changes, everything=everything)
        show_way(one.forecast, everything=everything)
        if one.forecast.moves is not None:
            click.echo("clients:")
            show_moves(msgspec.convert(one.forecast.moves, Moves), everything=everything)
        if one.problems:
            output.problems(want.source.name, one.problems, stderr=True)
    return FINE


def refused(output: Output, source: Source, found: Sequence[Problem]) -> int:
    """Shows why a graph is not taken, as `hydria check` does."""
    if output.json:
        output.document(verdict(source.name, found))
    else:
        output.problems(source.name, found, stderr=True)
    return PROBLEMS


def problems(source: Source, told: Sequence[Mapping[str, Any]]) -> list[Problem]:
    """What an agent found wrong, with its place; of what only a newer agent knows, the words."""
    return placed(source, [_problem(one) for one in told])


def why(source: Source, error: GraphRefused) -> list[Problem]:
    """The same of a refusal, which has an error in any case."""
    found = problems(source, error.problems)
    return found if has_errors(found) else [*found, Problem(code="rejected-by-haproxy", message=str(error))]


def _problem(told: Mapping[str, Any]) -> Problem:
    try:
        return msgspec.convert(dict(told), Problem)
    except (KeyError, msgspec.ValidationError):
        return Problem(code="rejected-by-haproxy", message=f"{told.get('message')} ({told.get('code')})")


def _serving(client: AgentClient, lb: str) -> LoadBalancer | None:
    try:
        return compiler.load(client.loadbalancer_graph(lb).text)
    except NotFoundError:
        return None
