"""`hydria stats`: what listeners, pools and members have done, once."""

from __future__ import annotations

import click

from agent.clock import SystemClock
from hydria.cli import FINE, SYSTEM
from hydria.cli.inputs import json_option
from hydria.cli.output import Output
from hydria.cli.statistics_source import Shown, Source, statistics_options
from hydria.cli.statistics_view import Screen


@click.command()
@statistics_options
@click.option("--over", metavar="SECONDS", type=click.FloatRange(0.1, 3600), help="Look twice, and say what happened a second in between.")
@click.option("--csv", "as_csv", is_flag=True, help="Answer in CSV, with a heading.")
@json_option
@click.pass_obj
def stats(output: Output, *, source: Source, shown: Shown, over: float | None, as_csv: bool) -> int:
    """Say what listeners, pools and members do and have done: those of the HAProxy with the stats socket SOCKET, or of an agent.

    The option --agent asks an agent on another machine, over the mutual TLS by which controllers drive it; see `hydria certs`.
    """
    before = None
    if over is not None:
        before = source.look()
        SystemClock().sleep(over)
    now = source.look()
    Screen(output, source, shown, as_csv=as_csv).looked(before, now)
    return SYSTEM if now.statistics.problems else FINE
