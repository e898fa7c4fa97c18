"""The agents of a lab, for whoever looks at them again and again: they are reached in the lab's own network, and come and go in one of Octavia's."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from agent.client import AgentClient
from agent.errors import SystemFault
from hydria.lab.lab import Lab
from hydria.lab.namespaces import inside
from hydria.lab.octavia_lab import OctaviaLab
from hydria.lab.pid_one import HYPERVISOR

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Seconds for a question to an agent.
_PATIENCE = 10.0


class LabFleet:
    """Of a lab of either kind."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._clients: dict[tuple[str, str, str], AgentClient] = {}
        self._there: list[tuple[str, str, str]] = []
        self.title = f"Lab {lab.name}"

    @contextmanager
    def reached(self) -> Iterator[Mapping[str, AgentClient]]:
        """By name, while the calling thread is in the lab. Raises CallError where there is no lab any more; OSError."""
        network = self._lab.network(HYPERVISOR)
        self._there = self._agents()
        pki = self._lab.directory / "pki" / "controllers" / "lab"
        for name, identity, address in self._there:
            if (name, identity, address) not in self._clients:
                self._clients[name, identity, address] = AgentClient(
                    address, amphora_id=identity, ca=pki / "server_ca.pem", certificate=pki / "client.pem", timeout=_PATIENCE
                )
        self._clients = {key: client for key, client in self._clients.items() if key in self._there}
        with inside(network):
            yield {key[0]: client for key, client in self._clients.items()}

    def _agents(self) -> list[tuple[str, str, str]]:
        """Name, id and address of each."""
        if not isinstance(self._lab, OctaviaLab):
            return [(one.name, one.id, one.management) for one in self._lab.plan.amphorae]
        try:
            found = self._lab.ask("/v2.0/octavia/amphorae", _PATIENCE)["amphorae"]
        except (OSError, SystemFault):  # an outage of the control plane does not touch agents
            return self._there
        return [
            (f"amphora-{one['id']}", one["id"], one["lb_network_ip"])
            for one in found
            if one["lb_network_ip"] and one["status"] in ("ALLOCATED", "BOOTING", "READY", "FAILOVER_STOPPED")
        ]
