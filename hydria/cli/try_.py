"""`hydria try`: has agents serve a graph for a while; they take it back by themselves unless somebody confirms."""

from __future__ import annotations

import datetime as dt
import select
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.clock import SystemClock
from agent.errors import AgentError
from compiler import ProblemError
from hydria.cli import FINE, PROBLEMS, SYSTEM, forecasts, inputs, pushing
from hydria.cli.agents import Agents, agents_options, title
from hydria.cli.hints import hints, hints_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hydria.cli.forecasts import Wanted
    from hydria.cli.output import Output
    from hydria.cli.pushing import Pushed

_DAY = 24 * 3600


@click.command()
@inputs.graph_argument
@agents_options
@click.option(
    "--confirm-within",
    "within",
    metavar="SECONDS",
    type=click.FloatRange(1, _DAY),
    default=120,
    show_default=True,
    help="How long agents wait before they take it back.",
)
@inputs.secrets_option
@hints_option
@inputs.json_option
@click.pass_obj
def try_(output: Output, *, source: inputs.Source, agents: Agents, within: float, secrets: Path | None, hints_text: str) -> int:
    """Have agents serve GRAPH as `hydria push` does, and take it back by themselves unless it is confirmed in time.

    On a terminal it is asked whether to keep it: y keeps it, anything else takes it back at once. Elsewhere, and with --json, this ends when the
    graph serves, and `hydria confirm` keeps it. It is the agents that take it back: whatever becomes of this command, of the connection or
    of an agent that is started anew meanwhile, what served before will serve again. Ends with 1 where the graph was not kept.
    """
    clients = agents.clients()
    try:
        want = forecasts.wanted(source, secrets, hints(hints_text, clients))
        done = pushing.push(output, clients, want, confirm_within=within)
    except ProblemError as error:
        return forecasts.refused(output, source, inputs.placed(source, error.problems))
    except pushing.NotPushedError as failure:
        return pushing.failed(output, want, failure)
    on_trial = [one for one in done if one.outcome.trial is not None]
    if unbound := [one for one in done if one.outcome.trial is None and one.outcome.generation != one.before]:
        pushing.take_back(output, unbound)
        output.failure("no-trial", f"{title(unbound[0].client)} is of a version that cannot take a change back by itself")
        return SYSTEM
    code = pushing.told(output, want, done)
    if not on_trial:
        output.note("this serves already, so there is nothing to try")
        return code
    # The agent that was asked first is the first to take it back.
    left = min(one.outcome.trial.left for one in on_trial if one.outcome.trial is not None)
    if output.json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        until = (dt.datetime.now().astimezone() + dt.timedelta(seconds=left)).strftime("%H:%M:%S")
        output.note(f"taken back at {until} unless: hydria confirm --lb {want.lb}, with the same --agent and --amphora")
        return code
    return _decide(output, want, on_trial, _answer(left))


def _answer(left: float) -> str | None:
    """What somebody at the terminal types; None when the time is over."""
    click.echo(f"Keep it? Taken back in {left:.0f} seconds otherwise. [y/N] ", err=True, nl=False)
    deadline = SystemClock().monotonic() + left
    ready, _, _ = select.select([sys.stdin], [], [], max(deadline - SystemClock().monotonic(), 0.0))
    if not ready:
        click.echo(err=True)
        return None
    return sys.stdin.readline().strip().lower()


def _decide(output: Output, want: Wanted, on_trial: Sequence[Pushed], answer: str | None) -> int:
    if answer is None:
        output.note("nobody answered, so it is taken back")
        return PROBLEMS
    if answer not in ("y", "yes"):
        left = pushing.take_back(output, on_trial)
        for words in left:
            output.note(words)
        return SYSTEM if left else PROBLEMS
    try:
        for client, outcome, _ in on_trial:
            client.confirm(want.lb, if_match=outcome.etag)
            output.note(f"{title(client)}: kept")
    except AgentError:
        output.note("it could not be confirmed everywhere, so it is taken back everywhere")
        pushing.take_back(output, on_trial)
        raise
    return FINE
