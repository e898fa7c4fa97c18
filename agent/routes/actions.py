"""start, stop and reload: the three things that can be done to what runs."""

from __future__ import annotations

import operator
from collections.abc import Callable

from agent.errors import InvalidRequest

ACTIONS = ("start", "stop", "reload")


def chosen(name: str) -> Callable[[object], Callable[..., str | None]]:
    """What takes a collaborator and gives its method of this name. Raises InvalidRequest where that is no action."""
    if name not in ACTIONS:
        raise InvalidRequest(f"action: {name[:100]!r} given; one of {', '.join(ACTIONS)} is allowed")
    return operator.attrgetter(name)
