"""Agents that a verb is for: where they are, who both sides are, and which load balancer there."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

import compiler
from agent.errors import InvalidRequest, NotFoundError
from agent.identifiers import ID, object_id
from hydria.cli.inputs import read_graph
from hydria.cli.place import PORT, place

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.client import AgentClient

_Verb = TypeVar("_Verb", bound="Callable[..., int]")


class Agents(NamedTuple):
    """What the options say. `named`: whether on the command line, not by the environment alone."""

    addresses: tuple[str, ...]
    amphorae: tuple[str, ...]
    ca: Path | None
    certificate: Path | None
    timeout: float
    named: bool

    def clients(self) -> tuple[AgentClient, ...]:
        """One for each, in order. Raises click.UsageError where something is missing or does not fit."""
        if not self.addresses:
            raise click.UsageError("--agent is needed, or HYDRIA_AGENT_ADDRESS in the environment: where the agent is")
        if not self.amphorae or self.ca is None or self.certificate is None:
            raise click.UsageError("--agent needs --amphora, --ca and --cert, or HYDRIA_AGENT_AMPHORA, _CA and _CERT in the environment")
        if len(self.addresses) != len(self.amphorae):
            raise click.UsageError(
                f"{len(self.addresses)} times --agent and {len(self.amphorae)} times --amphora given; each agent needs one, in the same order"
            )
        if len(set(self.amphorae)) != len(self.amphorae):
            raise click.UsageError("two agents with the same --amphora given; no two of them are one amphora")
        # TLS and HTTP are needed only now.
        from agent.client import AgentClient  # noqa: PLC0415

        try:
            return tuple(
                AgentClient(*place(address), amphora_id=amphora, ca=self.ca, certificate=self.certificate, timeout=self.timeout)
                for address, amphora in zip(self.addresses, self.amphorae, strict=True)
            )
        except (InvalidRequest, ValueError) as error:
            raise click.UsageError(str(error)) from error


def agents_options(verb: _Verb) -> _Verb:
    """Handed over as `agents`."""
    file = click.Path(exists=True, dir_okay=False, path_type=Path)

    @click.option(
        "--agent",
        "--address",
        "addresses",
        metavar="ADDRESS[:PORT]",
        multiple=True,
        envvar="HYDRIA_AGENT_ADDRESS",
        help=f"Where the agent is: an address or a name; port {PORT} if none is given. Given again for each of a pair.",
    )
    @click.option(
        "--amphora",
        "amphorae",
        metavar="ID",
        multiple=True,
        envvar="HYDRIA_AGENT_AMPHORA",
        help="Its id: what its certificate must be for. As often as --agent, in the same order.",
    )
    @click.option("--ca", metavar="FILE", envvar="HYDRIA_AGENT_CA", type=file, help="The authority of agents: server_ca.pem.")
    @click.option("--cert", metavar="FILE", envvar="HYDRIA_AGENT_CERT", type=file, help="What we show them: client.pem.")
    @click.option(
        "--timeout", metavar="SECONDS", type=click.FloatRange(0.1, 3600), default=120, show_default=True, help="For each question."
    )
    @functools.wraps(verb)
    def asking(
        *arguments: Any,
        addresses: tuple[str, ...],
        amphorae: tuple[str, ...],
        ca: Path | None,
        cert: Path | None,
        timeout: float,
        **options: Any,
    ) -> int:
        named = click.get_current_context().get_parameter_source("addresses") is click.core.ParameterSource.COMMANDLINE
        return verb(*arguments, agents=Agents(addresses, amphorae, ca, cert, timeout, named), **options)

    return asking  # type: ignore[return-value] # it is to click what the verb is


def lb_option(verb: _Verb) -> _Verb:
    """--lb, handed over as `given_lb`; see `loadbalancer`."""
    return click.option(
        "--lb",
        "given_lb",
        metavar="ID|GRAPH",
        help="Which load balancer: its id, or the file with its graph.  [default: the only one that there is]",
    )(verb)


def loadbalancer(context: click.Context, given: str | None, clients: Sequence[AgentClient]) -> str:
    """The id that --lb means. Raises NotFoundError where no one is meant; click.UsageError."""
    if given is not None and ID.fullmatch(given):
        return object_id(given)
    if given is not None:
        try:
            return compiler.load(read_graph(given, context).text).id
        except compiler.ProblemError as error:
            raise click.BadParameter(f"{given!r} is neither an id nor a graph that can be read", param_hint="--lb") from error
    there = sorted({lb for client in clients for lb in client.loadbalancers()})
    if not there:
        raise NotFoundError("there is no load balancer")
    if len(there) > 1:
        raise click.UsageError(f"there are {len(there)} load balancers, so --lb is needed: {', '.join(there[:20])}")
    return there[0]


class There(NamedTuple):
    """What an agent has of a load balancer: the generation that serves, 0 for none; whether it has the VIP."""

    generation: int
    active: bool


def look(client: AgentClient, lb: str) -> There:
    """Asks it. Raises AgentError."""
    try:
        found = client.loadbalancer_status(lb)
    except NotFoundError:
        return There(0, active=False)
    return There(found.generation, bool(found.vip_here))


def standby_first(clients: Sequence[AgentClient], lb: str) -> list[AgentClient]:
    """The one that has the VIP comes last: where a change is not as good as it seemed, it shows where no client is. Raises AgentError."""
    return sorted(clients, key=lambda client: look(client, lb).active) if len(clients) > 1 else list(clients)


def title(client: AgentClient) -> str:
    """What to call it."""
    return f"amphora {client.amphora_id} at {client.place}"


def who(client: AgentClient) -> dict[str, str]:
    """The same for a program."""
    return {"amphora": client.amphora_id, "address": str(client.place)}
