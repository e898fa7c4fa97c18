"""The agents that somebody has named, as what is looked at."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agent.client import AgentClient


class Named:
    """`clients`: their agents, which anybody reaches from here."""

    def __init__(self, clients: Sequence[AgentClient]) -> None:
        self._clients = {str(client.place): client for client in clients}
        self.title = "Load balancers"

    @contextmanager
    def reached(self) -> Iterator[Mapping[str, AgentClient]]:
        """Always."""
        yield self._clients
