"""`hydria plan`: what changes, how and for whom, when one graph takes the place of another, here or at agents."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import msgspec

from agent.errors import GraphRefused
from compiler import ProblemError, secret_references
from compiler.graph_changes import graph_changes
from compiler.moves import Side, families, moves
from compiler.problems import has_errors
from hydria import secret_files
from hydria.cli import FINE, PROBLEMS, chart, inputs, sampling, ways
from hydria.cli.agents import Agents, agents_options
from hydria.cli.change_view import show_changes, show_way
from hydria.cli.moves_view import SHOWN, show
from hydria.cli.output import Output, verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.outcomes import Forecast
    from compiler import Bundle, LoadBalancer
    from compiler.graph_changes import ObjectChange
    from compiler.move_counts import Clients
    from compiler.pickers import Family
    from compiler.target import Target

#: Who gets a client does not depend on what a secret holds.
_NO_MATTER = ("unknown-secret", "bad-secret")

#: Clients that are drawn without --sample, and at most.
_SAMPLE, _MOST_CLIENTS = 1_000_000, 20_000_000


def _svg(_ctx: click.Context, _option: click.Parameter, value: Path | None) -> Path | None:
    if value is not None and value.suffix != ".svg":
        raise click.BadParameter(f"{str(value)!r} given; a chart is an SVG, so its name ends in .svg")
    if value is not None and value.exists() and not value.is_file():
        raise click.BadParameter(f"{str(value)!r} is not a regular file")
    return value


@click.command()
@click.argument("given", metavar="[OLD] NEW", nargs=-1, required=True, type=click.Path())
@click.option(
    "--clients",
    "listed",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Count these clients, in place of drawn ones: their addresses, one a line; one that comes twice counts twice.",
)
@click.option(
    "--sample",
    "size",
    metavar="N",
    type=click.IntRange(1, _MOST_CLIENTS),
    help=f"How many clients to draw from all addresses of the VIPs' families; always the same.  [default: {_SAMPLE}]",
)
@click.option(
    "--fresh", is_flag=True, help="Compare with NEW as if it were started without a past, not put in OLD's place while that runs."
)
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help=f"Show pools that are not source-hashed, too, and all members, changes and commands, not only {SHOWN} of each.",
)
@click.option(
    "--chart",
    "picture",
    metavar="FILE.svg",
    type=click.Path(path_type=Path),
    callback=_svg,
    help="Draw the loads of members before and after.",
)
@click.option(
    "--old-target",
    "old_target_text",
    metavar="KEY=VALUE,…|@FILE",
    help="The machine that OLD runs on, as for --target.  [default: as --target]",
)
@inputs.target_option
@inputs.secrets_option
@agents_options
@inputs.json_option
@click.pass_context
def plan(
    context: click.Context,
    *,
    given: tuple[str, ...],
    agents: Agents,
    secrets: Path | None,
    listed: Path | None,
    size: int | None,
    fresh: bool,
    everything: bool,
    picture: Path | None,
    old_target_text: str | None,
    target_text: str,
) -> int:
    """Say what changes, how, and for whom, when the graph NEW takes the place of OLD (files; one may be - for standard input).

    What: objects and fields. How: by commands to the running HAProxy, a reload or a restart, with the reasons; for OLD and NEW with
    certificates, --secrets is needed to say so. For whom: for each source-hashed pool the share of clients that come to another member, the
    least share that any algorithm could move, and the members' loads. They are for new connections: those that exist stay, and so do
    clients that session persistence knows, as is said.

    NEW is taken to be put in OLD's place while that runs: members have the server ids that they had, LVS keeps the order of its real
    servers. To see what an upgrade of HAProxy does, give both versions: --old-target haproxy=2.8.5 --target haproxy=3.0.11.

    NEW alone with --agent: what it would do there, as the agent says itself. Nothing is changed.
    """
    output: Output = context.obj
    if len(given) == 1:
        _only_without_agents(context)
        return _there(output, inputs.read_graph(given[0], context), secrets, target_text, agents, everything=everything)
    _two(given, agents)
    if listed is not None and size is not None:
        raise click.UsageError("--sample says how many clients to draw, so it cannot go with --clients")
    sources = [inputs.read_graph(one, context) for one in given]
    target = inputs.target(target_text)
    sides, verdicts = _sides(output, sources, (target if old_target_text is None else _old_target(old_target_text), target), secrets)
    if len(sides) < 2:
        if output.json:
            output.document({"ok": False} | verdicts)
        return PROBLEMS
    old, new = sides
    changes, way = graph_changes(old.graph, new.graph), _way(sources[1], old, new, secrets)
    sample = _sample(output, listed, size or _SAMPLE, families(old.side, new.side))
    found = moves(old.side, new.side, sample, fresh=fresh)
    if picture is not None:
        chart.write(picture, chart.svg(found))
    if output.json:
        counted = {f"IPv{family}": len(clients.ports) for family, clients in sample.items()}
        about = {"clients": counted, "drawn": listed is None, "fresh": fresh, "chart": str(picture) if picture else None}
        output.document({"ok": True} | verdicts | about | msgspec.to_builtins(found) | _told(changes, way))
    else:
        show_changes(changes, everything=everything)
        show_way(way, everything=everything)
        click.echo("clients:")
        show(found, everything=everything)
        if found.pools and not fresh:
            output.note(
                "NEW is put in OLD's place while that runs, so members keep their server ids; --fresh tells of a start without a past"
            )
    return FINE


def _two(given: Sequence[str], agents: Agents) -> None:
    if len(given) > 2:
        raise click.UsageError(f"{len(given)} graphs given; OLD and NEW are needed, or NEW and --agent")
    if agents.named:
        raise click.UsageError("OLD and NEW are compared here, so --agent goes with NEW alone")
    if given[0] == given[1] == "-":
        raise click.UsageError("only one of the graphs can come from standard input")


def _only_without_agents(context: click.Context) -> None:
    """An agent decides itself by which clients it shows who moves, and what it is."""
    for name in ("listed", "size", "fresh", "picture", "old_target_text"):
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            [option] = [parameter.opts[0] for parameter in context.command.params if parameter.name == name]
            raise click.UsageError(f"{option} is for OLD and NEW, which are compared here")


def _there(output: Output, source: inputs.Source, secrets: Path | None, target_text: str, agents: Agents, *, everything: bool) -> int:
    """What NEW would do at agents."""
    # OLD and NEW alone need neither TLS nor HTTP.
    from hydria.cli import forecasts  # noqa: PLC0415
    from hydria.cli.hints import hints  # noqa: PLC0415

    if not agents.addresses:
        raise click.UsageError("one graph given; OLD and NEW are needed, or NEW and --agent")
    clients = agents.clients()
    try:
        want = forecasts.wanted(source, secrets, hints(target_text, clients))
        return forecasts.tell(output, want, [forecasts.ask(client, want) for client in clients], everything=everything)
    except ProblemError as error:
        return forecasts.refused(output, source, inputs.placed(source, error.problems))
    except GraphRefused as error:
        return forecasts.refused(output, source, forecasts.why(source, error))


def _old_target(text: str) -> Target:
    try:
        return inputs.target(text)
    except click.BadParameter as error:
        error.param_hint = "--old-target"
        raise


class _Compiled(NamedTuple):
    """One of the two, without errors; `bundle` is without files where secrets are missing."""

    graph: LoadBalancer
    target: Target
    bundle: Bundle

    @property
    def side(self) -> Side:
        return Side(self.graph, self.target)


def _sides(
    output: Output, sources: Sequence[inputs.Source], targets: Sequence[Target], secrets: Path | None
) -> tuple[list[_Compiled], dict[str, Any]]:
    """Those graphs that are without errors, and the verdict on each; problems are shown, unless in JSON."""
    sides, verdicts = [], {}
    for key, source, target in zip(("old", "new"), sources, targets, strict=True):
        built = inputs.build(source, secrets, target)
        problems = [problem for problem in built.problems if problem.code not in _NO_MATTER]
        verdicts[key] = verdict(source.name, problems)
        if problems and not output.json:
            output.problems(source.name, problems, stderr=True)
        if built.graph is not None and built.bundle is not None and not has_errors(problems):
            sides.append(_Compiled(built.graph, target, built.bundle))
    return sides, verdicts


def _way(source: inputs.Source, old: _Compiled, new: _Compiled, secrets: Path | None) -> Forecast | None:
    """How HAProxy comes from one to the other; None where that depends on secrets that are not there."""
    if not (old.bundle.ok and new.bundle.ok):
        return None
    found = secret_files.resolve(secret_references(new.graph), secrets, source.base)
    bundle = ways.after(old.graph, new.graph, new.target, found, dt.datetime.now(dt.UTC))
    return ways.way(new.graph.id, old.bundle, bundle, (old.target.haproxy, new.target.haproxy))


def _told(changes: Sequence[ObjectChange], way: Forecast | None) -> dict[str, Any]:
    """The same for a program."""
    how: dict[str, Any] = {"way": None, "reasons": [], "later": [], "commands": [], "also": []}
    if way is not None:
        how = {name: msgspec.to_builtins(getattr(way, name)) for name in how}
    return {"changes": msgspec.to_builtins(changes), **how}


def _sample(output: Output, path: Path | None, size: int, wanted: Sequence[Family]) -> dict[Family, Clients]:
    if path is None:
        return sampling.drawn(size, wanted)
    try:
        found = sampling.listed(path, wanted)
    except ValueError as error:
        raise click.BadParameter(f"{path}: {error}", param_hint="--clients") from error
    names = " and ".join(f"IPv{family}" for family in wanted)
    if not found.sample:
        raise click.BadParameter(f"{path} holds no {names} address, and the VIPs are {names}", param_hint="--clients")
    if found.others:
        output.note(f"{path}: {found.others} addresses do not count, as the VIPs are {names} only")
    return found.sample
