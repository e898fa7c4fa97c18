"""`hydria agent`: a look at an agent on another machine, over the mutual TLS by which controllers drive it."""

from __future__ import annotations

import functools
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from agent.client import AgentClient
from agent.clock import SystemClock
from agent.errors import AgentUnreachable, InvalidRequest
from hydria.cli import FINE, agent_view
from hydria.cli.agent_looks import Look, rates
from hydria.cli.ending import ended_by_signals
from hydria.cli.inputs import json_option
from hydria.cli.output import Output
from hydria.cli.place import PORT, place

if TYPE_CHECKING:
    from collections.abc import Callable

_Verb = TypeVar("_Verb", bound="Callable[..., int]")


def _address(_ctx: click.Context, _option: click.Parameter, value: str) -> tuple[str, int]:
    try:
        return place(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _agent_options(verb: _Verb) -> _Verb:
    """Where the agent is and who both sides are, handed over as `client`."""
    file = click.Path(exists=True, dir_okay=False, path_type=Path)

    @click.option(
        "--address",
        metavar="ADDRESS[:PORT]",
        required=True,
        envvar="HYDRIA_AGENT_ADDRESS",
        callback=_address,
        help=f"Where the agent is: an address or a name; the port is {PORT} if none is given.",
    )
    @click.option("--amphora", metavar="ID", required=True, envvar="HYDRIA_AGENT_AMPHORA", help="Its id: what its certificate must be for.")
    @click.option(
        "--ca", metavar="FILE", required=True, envvar="HYDRIA_AGENT_CA", type=file, help="The authority of agents: server_ca.pem."
    )
    @click.option("--cert", metavar="FILE", required=True, envvar="HYDRIA_AGENT_CERT", type=file, help="What we show it: client.pem.")
    @click.option(
        "--timeout", metavar="SECONDS", type=click.FloatRange(0.1, 3600), default=10, show_default=True, help="For each question."
    )
    @functools.wraps(verb)
    def asking(*arguments: Any, address: tuple[str, int], amphora: str, ca: Path, cert: Path, timeout: float, **options: Any) -> int:
        try:
            client = AgentClient(*address, amphora_id=amphora, ca=ca, certificate=cert, timeout=timeout)
        except InvalidRequest as error:
            raise click.UsageError(str(error)) from error
        return verb(*arguments, client=client, **options)

    return asking  # type: ignore[return-value] # it is to click what the verb is


@click.group(
    subcommand_metavar="WHAT …",
    epilog="Each option that is needed may be given by the environment instead: HYDRIA_AGENT_ADDRESS, _AMPHORA, _CA and _CERT.",
)
def agent() -> None:
    """Look at an agent on another machine, over the mutual TLS by which controllers drive it. Nothing is changed there.

    `hydria certs` makes the certificates that this needs; those of Octavia's controller do as well.
    """


@agent.command(short_help="What it is: its name and the versions of its programs.")
@_agent_options
@json_option
@click.pass_obj
def info(output: Output, *, client: AgentClient) -> int:
    """Say what the agent's machine is: its name and the versions of its programs."""
    _tell(output, found := client.info(), lambda: agent_view.info_picture(client, found))
    return FINE


@agent.command(short_help="What it is, and how it fares.")
@_agent_options
@json_option
@click.pass_obj
def details(output: Output, *, client: AgentClient) -> int:
    """Say what the agent's machine is and how it fares: processors, memory, disk, interfaces, what runs."""
    _tell(output, found := client.details(), lambda: agent_view.details_picture(client, found))
    return FINE


@agent.command(short_help="What it carries: listeners and their statuses.")
@_agent_options
@json_option
@click.pass_obj
def listeners(output: Output, *, client: AgentClient) -> int:
    """List the agent's listeners with their types and statuses."""
    found = client.listeners()
    _tell(output, {"listeners": found}, lambda: agent_view.listeners_picture(found))
    return FINE


@agent.command(short_help="All of it, again and again.")
@click.option("--interval", metavar="SECONDS", type=click.FloatRange(0.1, 3600), default=2, show_default=True, help="Between two looks.")
@click.option("-n", "--count", metavar="N", type=click.IntRange(1), help="End after so many looks.  [default: with Ctrl-C]")
@_agent_options
@json_option
@click.pass_obj
def top(output: Output, *, client: AgentClient, interval: float, count: int | None) -> int:
    """Show how the agent fares until Ctrl-C: processors, memory, traffic a second, listeners.

    On a terminal one table is drawn anew at each look; into a pipe goes a table for each, with --json a line. An agent that does not
    answer for a while is waited for.
    """
    before: Look | None = None
    with ended_by_signals() as ending, agent_view.screen(output, client) as screen:
        for number in itertools.count(1):
            try:
                now = _look(client)
            except AgentUnreachable as error:
                if before is None:
                    raise
                screen.lost(error)
            else:
                screen.looked(now, rates(before, now) if before is not None else None)
                before = now
            if number == count or ending.wait(interval):
                break
    return FINE


def _look(client: AgentClient) -> Look:
    found = client.listeners()
    # The moment is that of the counters.
    counted = client.details()
    return Look(SystemClock().monotonic(), counted, found)


def _tell(output: Output, found: Any, picture: Callable[[], Any]) -> None:
    if output.json:
        output.document({"ok": True, **msgspec.to_builtins(found)})
    else:
        agent_view.show(picture())
