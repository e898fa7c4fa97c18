"""Where `hydria stats` and `hydria top` have statistics from: sockets of HAProxy on this machine, or an agent anywhere."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from agent import statistics
from agent.clock import SystemClock
from agent.errors import InvalidRequest
from agent.stats_socket import StatsSocket
from hydria.cli.place import PORT, place
from hydria.cli.statistics import SORTABLE, Look

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_Verb = TypeVar("_Verb", bound="Callable[..., int]")


class Shown(NamedTuple):
    """What is shown, and in which order."""

    kinds: tuple[str, ...]
    sort: str | None


class Source:
    """`read` gives statistics; `name` is for people."""

    def __init__(self, name: str, read: Callable[[], statistics.Statistics]) -> None:
        self.name = name
        self._read = read
        self._clock = SystemClock()

    def look(self) -> Look:
        """What is there now. Raises AgentError."""
        found = self._read()
        return Look(self._clock.monotonic(), found)


def of_sockets(paths: Sequence[Path]) -> Source:
    """HAProxy's stats sockets."""

    def read() -> statistics.Statistics:
        # Which load balancer it is that a row belongs to is only asked where there are several.
        many = len(paths) > 1
        return statistics.Statistics(rows=[row for path in paths for row in statistics.read(StatsSocket(path), path.stem if many else "")])

    return Source(" ".join(map(str, paths)), read)


def statistics_options(verb: _Verb) -> _Verb:
    """Whose statistics, handed over as `source`, and what of them, as `shown`."""
    file = click.Path(exists=True, dir_okay=False, path_type=Path)

    @click.argument("sockets", metavar="[SOCKET]…", nargs=-1, type=click.Path(path_type=Path))
    @click.option(
        "--agent", metavar="ADDRESS[:PORT]", envvar="HYDRIA_AGENT_ADDRESS", help=f"Ask an agent instead; port {PORT} if none is given."
    )
    @click.option("--amphora", metavar="ID", envvar="HYDRIA_AGENT_AMPHORA", help="Its id: what its certificate must be for.")
    @click.option("--ca", metavar="FILE", envvar="HYDRIA_AGENT_CA", type=file, help="The authority of agents: server_ca.pem.")
    @click.option("--cert", metavar="FILE", envvar="HYDRIA_AGENT_CERT", type=file, help="What we show it: client.pem.")
    @click.option("--only", type=click.Choice(["listener", "pool", "member"]), multiple=True, help="These alone; may be given again.")
    @click.option(
        "--sort", metavar="COLUMN", type=click.Choice(SORTABLE), help="The largest first, by a column of --csv.  [default: as they belong]"
    )
    @functools.wraps(verb)
    def asking(
        *arguments: Any,
        sockets: tuple[Path, ...],
        agent: str | None,
        amphora: str | None,
        ca: Path | None,
        cert: Path | None,
        only: tuple[str, ...],
        sort: str | None,
        **options: Any,
    ) -> int:
        source = of_sockets(sockets) if sockets else _of_agent(agent, amphora, ca, cert)
        return verb(*arguments, source=source, shown=Shown(only, sort), **options)

    return asking  # type: ignore[return-value] # it is to click what the verb is


def _of_agent(address: str | None, amphora: str | None, ca: Path | None, certificate: Path | None) -> Source:
    if address is None:
        raise click.UsageError("either SOCKET, the stats socket of a HAProxy here, or --agent is needed")
    if amphora is None or ca is None or certificate is None:
        raise click.UsageError("--agent needs --amphora, --ca and --cert, or HYDRIA_AGENT_AMPHORA, _CA and _CERT in the environment")
    # TLS and HTTP are none of a socket's business.
    from agent.client import AgentClient  # noqa: PLC0415

    try:
        client = AgentClient(*place(address), amphora_id=amphora, ca=ca, certificate=certificate, timeout=30)
    except (InvalidRequest, ValueError) as error:
        raise click.UsageError(str(error)) from error
    return Source(f"amphora {amphora} at {client.place}", client.statistics)
