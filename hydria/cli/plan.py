"""`hydria plan`: what changes for clients when one graph takes the place of another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from compiler.moves import Side, families, moves
from compiler.problems import has_errors
from hydria.cli import FINE, PROBLEMS, chart, inputs, sampling
from hydria.cli.moves_view import SHOWN, show
from hydria.cli.output import Output, verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

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
@click.argument("given_old", metavar="OLD", type=click.Path())
@click.argument("given_new", metavar="NEW", type=click.Path())
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
    "--all", "everything", is_flag=True, help=f"Show pools that are not source-hashed, too, and all members, not only {SHOWN} of a pool."
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
@inputs.json_option
@click.pass_context
def plan(
    context: click.Context,
    *,
    given_old: str,
    given_new: str,
    listed: Path | None,
    size: int | None,
    fresh: bool,
    everything: bool,
    picture: Path | None,
    old_target_text: str | None,
    target_text: str,
) -> int:
    """Say what changes for clients when the graph NEW takes the place of OLD (files; one may be - for standard input).

    For each source-hashed pool: the share of clients that come to another member, the least share that any algorithm could move, and the
    members' loads. They are for new connections: those that exist stay, and so do clients that session persistence knows, as is said.

    NEW is taken to be put in OLD's place while that runs: members have the server ids that they had, LVS keeps the order of its real
    servers. To see what an upgrade of HAProxy does, give both versions: --old-target haproxy=2.8.5 --target haproxy=3.0.11.
    """
    output: Output = context.obj
    if given_old == given_new == "-":
        raise click.UsageError("only one of the graphs can come from standard input")
    if listed is not None and size is not None:
        raise click.UsageError("--sample says how many clients to draw, so it cannot go with --clients")
    sources = [inputs.read_graph(given, context) for given in (given_old, given_new)]
    target = inputs.target(target_text)
    sides, verdicts = _sides(output, sources, (target if old_target_text is None else _old_target(old_target_text), target))
    if len(sides) < 2:
        if output.json:
            output.document({"ok": False} | verdicts)
        return PROBLEMS
    old, new = sides
    sample = _sample(output, listed, size or _SAMPLE, families(old, new))
    found = moves(old, new, sample, fresh=fresh)
    if picture is not None:
        chart.write(picture, chart.svg(found))
    if output.json:
        counted = {f"IPv{family}": len(clients.ports) for family, clients in sample.items()}
        about = {"clients": counted, "drawn": listed is None, "fresh": fresh, "chart": str(picture) if picture else None}
        output.document({"ok": True} | verdicts | about | msgspec.to_builtins(found))
    else:
        show(found, everything=everything)
        if found.pools and not fresh:
            output.note(
                "NEW is put in OLD's place while that runs, so members keep their server ids; --fresh tells of a start without a past"
            )
    return FINE


def _old_target(text: str) -> Target:
    try:
        return inputs.target(text)
    except click.BadParameter as error:
        error.param_hint = "--old-target"
        raise


def _sides(output: Output, sources: Sequence[inputs.Source], targets: Sequence[Target]) -> tuple[list[Side], dict[str, Any]]:
    """Those graphs that are without errors, and the verdict on each; problems are shown, unless in JSON."""
    sides, verdicts = [], {}
    for key, source, target in zip(("old", "new"), sources, targets, strict=True):
        built = inputs.build(source, None, target)
        problems = [problem for problem in built.problems if problem.code not in _NO_MATTER]
        verdicts[key] = verdict(source.name, problems)
        if problems and not output.json:
            output.problems(source.name, problems, stderr=True)
        if built.graph is not None and not has_errors(problems):
            sides.append(Side(built.graph, target))
    return sides, verdicts


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
