"""`Lab`: one that is there. Where its machines are, and the agents as whoever drives them sees them."""

from __future__ import annotations

import json
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from agent.client import AgentClient
from agent.paths import NAMESPACE
from hydria.lab import bridges, calls, namespaces, octavia_plan, record
from hydria.lab.attendant import SOCKET
from hydria.lab.calls import CallError
from hydria.lab.pid_one import HYPERVISOR
from hydria.lab.topology import Amphora, Plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: The networks in which no machine is: where clients are, where members are.
CLIENTS, MEMBERS = "clients", "members"

#: Seconds for a call of an agent. A machine may be busy with other labs.
_PATIENCE = 60.0


class Lab:
    """The lab in `directory`. Raises CallError where a machine does not answer."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.name = directory.name

    @cached_property
    def plan(self) -> Plan:
        """What it is to be; a lab of Octavia's has none."""
        return msgspec.json.decode((self.directory / record.PLAN).read_bytes(), type=Plan)

    def amphora(self, name: str) -> Amphora | None:
        """The amphora of this name."""
        return next((one for one in self.plan.amphorae if one.name == name), None)

    # --- machines ---

    @property
    def machines(self) -> list[str]:
        """Those that the hypervisor has booted, also where they are off now."""
        others = (HYPERVISOR, *(Path(each).stem for each in (SOCKET, *octavia_plan.SOCKETS)))
        return sorted(path.stem for path in self.directory.glob("*.sock") if path.stem not in others)

    def call(self, machine: str, do: str, /, *, giving: Sequence[int] = (), **words: Any) -> dict[str, Any]:
        """Has the first process of a machine do something, which is given these descriptors."""
        return calls.call(self.directory / f"{machine}.sock", do, giving=giving, **words)

    def attendant(self, do: str, /, **words: Any) -> dict[str, Any]:
        """Has whoever sees to the members do something."""
        return calls.call(self.directory / SOCKET, do, **words)

    def first_process(self, machine: str) -> int:
        """Its id, as seen from here."""
        return calls.process_behind(self.directory / f"{machine}.sock")

    def runs(self, machine: str) -> bool:
        """Whether it is switched on."""
        try:
            self.first_process(machine)
        except CallError:
            return False
        return True

    def network(self, name: str) -> Path:
        """The namespace of the clients, of the members, or of the hypervisor."""
        pid = self.first_process(HYPERVISOR)
        return namespaces.of_machine(pid) if name == HYPERVISOR else namespaces.named(pid, name)

    def traffic(self, amphora: str) -> Path:
        """The namespace in which an amphora's agent has its traffic."""
        return namespaces.named(self.first_process(amphora), NAMESPACE)

    def processes(self, machine: str) -> list[dict[str, Any]]:
        """See `hydria.lab.pid_one`."""
        found: list[dict[str, Any]] = self.call(machine, "processes")["processes"]
        return found

    # --- agents ---

    @contextmanager
    def driving(self, timeout: float = _PATIENCE) -> Iterator[dict[str, AgentClient]]:
        """The calling thread is where agents are driven from: amphora → client."""
        pki = self.directory / "pki" / "controllers" / "lab"
        clients = {
            one.name: AgentClient(
                one.management, amphora_id=one.id, ca=pki / "server_ca.pem", certificate=pki / "client.pem", timeout=timeout
            )
            for one in self.plan.amphorae
        }
        with namespaces.inside(self.network(HYPERVISOR)):
            yield clients

    def holds_vips(self, amphora: str) -> bool:
        """Whether it has all VIPs at this moment; False where it is off."""
        try:
            return set(self.plan.vips) <= bridges.addresses(self.traffic(amphora))
        except (CallError, OSError):
            return False

    def holders(self) -> list[str]:
        """The amphorae that have the VIPs: one, if all is well."""
        return [one.name for one in self.plan.amphorae if self.holds_vips(one.name)]

    def tell(self, what: str) -> None:
        """Keeps what was done."""
        record.tell(self.directory, what)

    def document(self) -> dict[str, Any]:
        """The graph that agents were given."""
        inside: dict[str, Any] = json.loads(self.plan.graph)["loadbalancer"]
        return inside
