"""`hydria push`: has agents serve a graph."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.errors import GraphRefused
from compiler import ProblemError
from hydria.cli import forecasts, inputs, pushing
from hydria.cli.agents import Agents, agents_options
from hydria.cli.hints import hints, hints_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.client import AgentClient
    from hydria.cli.output import Output


@click.command()
@inputs.graph_argument
@agents_options
@inputs.secrets_option
@hints_option
@click.option("--dry-run", is_flag=True, help="Only say what would be done there, as `hydria plan GRAPH --agent` does.")
@click.option(
    "--if-match",
    "tags",
    metavar="ETAG",
    multiple=True,
    help="Change nothing unless this serves, by its ETag in `hydria status`. As often as --agent, in the same order.",
)
@inputs.json_option
@click.pass_obj
def push(
    output: Output,
    *,
    source: inputs.Source,
    agents: Agents,
    secrets: Path | None,
    hints_text: str,
    dry_run: bool,
    tags: tuple[str, ...],
) -> int:
    """Have agents serve GRAPH (a file, or - for standard input): without a reload where that can be, else with one.

    It is compiled there, for the HAProxy that is installed there. Where it fails, what served before serves on. Of a pair, both must say that they
    would take it before either is changed; the one that has the VIP is changed last, and where that fails the other is given back what
    it had. `hydria try` is for changes that might lock you out.
    """
    clients = agents.clients()
    if_match = _tags(tags, clients)
    try:
        want = forecasts.wanted(source, secrets, hints(hints_text, clients))
        if dry_run:
            return forecasts.tell(output, want, [forecasts.ask(client, want) for client in clients], everything=False)
        return pushing.told(output, want, pushing.push(output, clients, want, if_match=if_match))
    except ProblemError as error:
        return forecasts.refused(output, source, inputs.placed(source, error.problems))
    except GraphRefused as error:
        return forecasts.refused(output, source, forecasts.why(source, error))
    except pushing.NotPushedError as failure:
        return pushing.failed(output, want, failure)


def _tags(given: Sequence[str], clients: Sequence[AgentClient]) -> dict[str, str]:
    """Amphora → what --if-match says; a shell has taken the quotation marks that belong to an ETag."""
    if given and len(given) != len(clients):
        raise click.UsageError(f"{len(given)} times --if-match and {len(clients)} times --agent given; each agent needs one")
    quoted = [tag if tag == "*" or tag.startswith('"') else f'"{tag}"' for tag in given]
    return {client.amphora_id: tag for client, tag in zip(clients, quoted, strict=False)}
