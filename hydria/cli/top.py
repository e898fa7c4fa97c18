"""`hydria top`: what listeners, pools and members do, again and again."""

from __future__ import annotations

import itertools

import click

from agent.errors import AgentUnreachable, SocketFault
from hydria.cli import FINE
from hydria.cli.ending import ended_by_signals
from hydria.cli.inputs import json_option
from hydria.cli.output import Output
from hydria.cli.statistics import Look
from hydria.cli.statistics_source import Shown, Source, statistics_options
from hydria.cli.statistics_view import screen


@click.command()
@statistics_options
@click.option("--interval", metavar="SECONDS", type=click.FloatRange(0.1, 3600), default=2, show_default=True, help="Between two looks.")
@click.option("-n", "--count", metavar="N", type=click.IntRange(1), help="End after so many looks.  [default: with Ctrl-C]")
@click.option("--csv", "as_csv", is_flag=True, help="Answer in CSV, with one heading.")
@json_option
@click.pass_obj
def top(output: Output, *, source: Source, shown: Shown, interval: float, count: int | None, as_csv: bool) -> int:
    """Show what listeners, pools and members do, until Ctrl-C: those of the HAProxy with the stats socket SOCKET, or of an agent.

    On a terminal one table is drawn anew at each look, as many rows as fit; into a pipe goes a table for each, with --json a line. A HAProxy or an
    agent that does not answer for a while is waited for.
    """
    before: Look | None = None
    with ended_by_signals() as ending, screen(output, source, shown, as_csv=as_csv) as shows:
        for number in itertools.count(1):
            try:
                now = source.look()
            except (AgentUnreachable, SocketFault) as error:
                if before is None:
                    raise
                shows.lost(error)
            else:
                shows.looked(before, now)
                before = now
            if number == count or ending.wait(interval):
                break
    return FINE
