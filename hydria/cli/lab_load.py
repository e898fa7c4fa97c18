"""`hydria lab load`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from hydria.cli import FINE
from hydria.cli.ending import ended_by_signals
from hydria.cli.inputs import json_option
from hydria.cli.lab_common import name_option, the_lab
from hydria.cli.output import visible
from hydria.cli.status_line import status_line
from hydria.lab import record, timeline
from hydria.lab.load import Summary, summary
from hydria.lab.loading import Loading, aim

if TYPE_CHECKING:
    from hydria.cli.output import Output


@click.command()
@name_option
@click.option("--rate", metavar="N", type=click.FloatRange(1, 5000), default=100, show_default=True, help="Requests a second.")
@click.option(
    "--seconds", metavar="N", type=click.FloatRange(0.1, 86_400), default=10, show_default=True, help="For so long, or until Ctrl-C."
)
@click.option("--listener", metavar="NAME", help="Which.  [default: the first one that speaks HTTP]")
@click.option("--path", default="/", show_default=True, help="What is asked for.")
@click.option("--host", default="lab.example", show_default=True, help="Of whom.")
@click.option(
    "--svg", "picture", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False), help="Draw it: answers and errors in each 10 ms."
)
@json_option
@click.pass_obj
def load(
    output: Output, *, name: str, rate: float, seconds: float, listener: str | None, path: str, host: str, picture: Path | None
) -> int:
    """Make requests to all VIPs from all clients, each over a connection of its own, begun on time whether the last ones were answered or not.

    Ends with 0 whatever came of them: see the count of those that failed.
    """
    lab = the_lab(name)
    with (
        ended_by_signals() as ending,
        status_line(output) as write,
        Loading(lab, aim(lab, listener, path=path, host=host), rate, seconds) as loading,
    ):
        while loading.goes_on and not ending.wait(0.5):
            write(f"{len(loading.results)} requests, {sum(bool(one.error) for one in loading.results)} failed")
    found = summary(loading.results)
    if picture is not None:
        events = [timeline.Event(one["at"] - loading.began_at, one["what"]) for one in record.told(lab.directory)]
        picture.write_text(timeline.svg(f"lab {name}, {rate:g} requests a second", loading.results, events), encoding="utf-8")
    if output.json:
        output.document({"ok": True, **msgspec.to_builtins(found)})
    else:
        for line in _lines(found):
            click.echo(visible(line))
    return FINE


def _lines(found: Summary) -> list[str]:
    return [
        f"{found.requests} requests, {found.failed} failed",
        *(f"  {count}: {error}" for error, count in sorted(found.errors.items())),
        *(f"  {count} forwarded by {by or 'somebody'}" for by, count in sorted(found.by.items())),
        f"slowest answer {found.slowest * 1000:.0f} ms; longest time without one {found.longest_gap * 1000:.0f} ms, at {found.gap_began:.2f} s",
    ]
