"""What the driver raises: Octavia's exceptions, so that its flows treat them as what they are, with Hydria's words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octavia.amphorae.driver_exceptions import exceptions

from agent.errors import AgentError, AgentUnreachable, GraphRefused, NotAllowed, UntrustedAgent

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class NotProvisioned(exceptions.ProvisioningErrors):  # type: ignore[misc] # Octavia has no types
    """An amphora did not take a load balancer, and says why."""

    message = "%(reason)s"


class NotReached(exceptions.TimeOutException):  # type: ignore[misc] # Octavia has no types
    """No answer for as long as Octavia's configuration has it wait."""

    message = "%(reason)s"


class NotTrusted(exceptions.UnauthorizedException):  # type: ignore[misc] # Octavia has no types
    """The amphora is not who it should be, or takes the controller for nobody that may ask."""

    message = "%(reason)s"


def as_octavia_says(error: AgentError) -> Exception:
    """What to raise for an agent's error."""
    reason = str(error)
    if isinstance(error, GraphRefused):
        reason = "; ".join([reason, *map(_problem, error.problems)])
    kind = (
        NotReached
        if isinstance(error, AgentUnreachable)
        else NotTrusted
        if isinstance(error, UntrustedAgent | NotAllowed)
        else NotProvisioned
    )
    return kind(reason=reason)


def _problem(problem: Mapping[str, Any]) -> str:
    """One problem in a line: the object, the field, what is the matter, a hint."""
    thing = problem.get("object") or {}
    who = " ".join(str(thing[part]) for part in ("type", "id") if thing.get(part))
    hint = f" ({problem['hint']})" if problem.get("hint") else ""
    return ": ".join(filter(None, [who, problem.get("path", ""), f"{problem.get('message', '')}{hint} [{problem.get('code', '')}]"]))
