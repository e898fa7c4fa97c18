"""One graph for one or several agents: all of them have it in the end, or none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from agent.errors import AgentError, GraphRefused
from hydria.cli import FINE, SYSTEM, forecasts
from hydria.cli.agents import look, title, who
from hydria.cli.change_view import show_outcome
from hydria.cli.status_line import steps_shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.client import AgentClient
    from agent.outcomes import Outcome
    from hydria.cli.forecasts import Wanted
    from hydria.cli.output import Output


class Pushed(NamedTuple):
    """What came of it at an agent; `before`: the generation that served before, 0 for none."""

    client: AgentClient
    outcome: Outcome
    before: int


class NotPushedError(Exception):
    """An agent has not taken the graph; all have what they had, but for `left`, which are in words."""

    def __init__(self, client: AgentClient, error: AgentError, left: list[str]) -> None:
        self.client = client
        self.error = error
        self.left = left
        super().__init__(f"{title(client)}: {error}")


def push(
    output: Output,
    clients: Sequence[AgentClient],
    want: Wanted,
    *,
    if_match: Mapping[str, str] | None = None,
    confirm_within: float | None = None,
) -> list[Pushed]:
    """Has all agents have the graph, the one with the VIP last. `if_match`: amphora → ETag.

    Raises NotPushedError. Of several, nobody is changed before all have said that they would take it.
    """
    done: list[Pushed] = []
    client = clients[0]
    try:
        there = {}
        for client in clients:
            there[client.amphora_id] = look(client, want.lb)
            if len(clients) > 1:
                with steps_shown(output, client, want.lb, f"{title(client)}: asking"):
                    client.plan_loadbalancer(want.lb, want.source.text, want.secrets, target=want.hints)
        for client in sorted(clients, key=lambda one: there[one.amphora_id].active):
            tag = (if_match or {}).get(client.amphora_id)
            with steps_shown(output, client, want.lb, title(client)):
                outcome = client.put_loadbalancer(
                    want.lb, want.source.text, want.secrets, target=want.hints, if_match=tag, confirm_within=confirm_within
                )
            done.append(Pushed(client, outcome, there[client.amphora_id].generation))
            if not output.json:
                show_outcome(title(client), outcome)
    except AgentError as error:
        raise NotPushedError(client, error, take_back(output, done)) from error
    return done


def take_back(output: Output, done: Sequence[Pushed]) -> list[str]:
    """Has agents have what they had; where that is not so afterwards, in words."""
    left = []
    for client, outcome, before in done:
        back_to = outcome.trial.back_to if outcome.trial is not None else before
        if outcome.generation == before and outcome.trial is None:
            continue
        try:
            if back_to:
                client.rollback(outcome.loadbalancer, back_to, if_match=outcome.etag)
            else:
                client.delete_loadbalancer(outcome.loadbalancer, if_match=outcome.etag)
            output.note(f"{title(client)}: taken back")
        except AgentError as error:
            left.append(f"{title(client)} has the new graph and it cannot be taken back: {error}")
    return left


def told(output: Output, want: Wanted, done: Sequence[Pushed]) -> int:
    """What came of it, for a program; and the graph's warnings, for a person."""
    found = [(one, forecasts.problems(want.source, one.outcome.warnings)) for one in done]
    if output.json:
        agents: list[dict[str, Any]] = [
            who(one.client)
            | msgspec.to_builtins(msgspec.structs.replace(one.outcome, warnings=[]))
            | {"warnings": msgspec.to_builtins(warnings)}
            for one, warnings in found
        ]
        output.document({"ok": True, "graph": want.source.name, "loadbalancer": want.lb, "agents": agents})
    else:
        warnings = list(dict.fromkeys(warning for _, several in found for warning in several))
        if warnings:
            output.problems(want.source.name, warnings, stderr=True)
    return FINE


def failed(output: Output, want: Wanted, failure: NotPushedError) -> int:
    """Why the graph is not there: its problems, or what failed."""
    if isinstance(failure.error, GraphRefused):
        for words in failure.left:
            output.note(words)
        return forecasts.refused(output, want.source, forecasts.why(want.source, failure.error))
    output.failure(failure.error.code, "\n".join([str(failure), *failure.left]))
    return SYSTEM
