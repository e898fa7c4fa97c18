"""`hydria lab watch`."""

from __future__ import annotations

import itertools
import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click
import msgspec

from hydria.cli import FINE
from hydria.cli.agent_view import show
from hydria.cli.ending import ended_by_signals
from hydria.cli.inputs import json_option
from hydria.cli.lab_common import name_option, the_lab
from hydria.cli.lab_view import picture
from hydria.cli.output import colourful
from hydria.lab import record
from hydria.lab.loading import Loading, aim
from hydria.lab.looking import look

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import Group

    from hydria.cli.output import Output
    from hydria.lab.load import Result


@click.command()
@name_option
@click.option(
    "--rate", metavar="N", type=click.FloatRange(0, 1000), default=20, show_default=True, help="Make so many requests a second meanwhile."
)
@click.option("--interval", metavar="SECONDS", type=click.FloatRange(0.1, 3600), default=1, show_default=True, help="Between two looks.")
@click.option("-n", "--count", metavar="N", type=click.IntRange(1), help="End after so many looks.  [default: with Ctrl-C]")
@json_option
@click.pass_obj
def watch(output: Output, *, name: str, rate: float, interval: float, count: int | None) -> int:
    """Show a lab again and again: who is master, how members are, heartbeats, events, and what comes of requests that are made meanwhile."""
    lab = the_lab(name)
    with ExitStack() as stack:
        ending = stack.enter_context(ended_by_signals())
        loading = stack.enter_context(Loading(lab, aim(lab), rate)) if rate else None
        update: Callable[[Group], None] = show
        if sys.stdout.isatty() and not output.json:
            from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
            from rich.live import Live  # noqa: PLC0415 - as above

            live = stack.enter_context(Live(console=Console(no_color=not colourful(sys.stdout)), auto_refresh=False, screen=True))
            update = lambda shown: live.update(shown, refresh=True)  # noqa: E731
        for number in itertools.count(1):
            if ending.wait(interval):
                break
            found, events = look(lab), list(record.told(lab.directory))
            results = loading.results if loading else []
            since = loading.now() - interval if loading else 0.0
            if output.json:
                output.document(
                    {"event": "look", "time": round(time.time(), 3), **msgspec.to_builtins(found), "requests": _counts(results, since)}
                )
            else:
                update(picture(found, events, _traffic(results, since, interval) if rate else ""))
            if number == count:
                break
    return FINE


def _counts(results: Sequence[Result], since: float) -> dict[str, int]:
    lately = [one for one in results if one.ended >= since]
    return {
        "requests": len(results),
        "failed": sum(bool(one.error) for one in results),
        "lately": len(lately),
        "lately_failed": sum(bool(one.error) for one in lately),
    }


def _traffic(results: Sequence[Result], since: float, interval: float) -> str:
    counts = _counts(results, since)
    lately = f"{counts['lately'] / interval:.0f} requests a second, {counts['lately_failed'] / interval:.0f} of them failed"
    return f"{lately}; {counts['requests']} in all, {counts['failed']} failed"
