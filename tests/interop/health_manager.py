"""Octavia's health manager as a process beside the tests; `health_manager_side.py` is the other end."""

from __future__ import annotations

import json
import subprocess
from ipaddress import IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from uuid import UUID

from agent.settings import Endpoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

HERE = Path(__file__).parent
PYTHON = HERE.parents[1] / ".venv" / "octavia" / "bin" / "python"

#: Of everything, in the database.
_COMMON = {"provisioning_status": "ACTIVE", "operating_status": "OFFLINE", "enabled": True}
_POOL = {"protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN", **_COMMON}


class State(NamedTuple):
    """What the database says: operating statuses by kind and id, statistics by listener; sizes of what came; what Octavia complained of."""

    status: dict[str, dict[str, str]]
    statistics: dict[str, dict[str, int]]
    health: float | None
    received: list[int]
    complaints: list[str]
    time: float


class HealthManager:
    """Octavia's receiver on a port of 127.0.0.1, with a database of its own."""

    def __init__(self, directory: Path, key: str, interval: int = 10) -> None:
        directory.mkdir()
        self.log = directory / "health-manager.log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [PYTHON, "-W", "ignore", HERE / "health_manager_side.py", directory, key, str(interval)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.endpoint = Endpoint("127.0.0.1", self._answer()["port"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def describe(self, amphora: str, lb: str, listeners: Iterable[str], pools: Mapping[str, Iterable[str]]) -> None:
        """Empties the database and fills it: a load balancer that is ACTIVE, with listeners and with pools of members."""
        self._ask(
            "describe",
            amphora=amphora,
            load_balancer={"id": lb, "name": "lb", **_COMMON},
            listeners=[{"id": each, "protocol": "HTTP", "protocol_port": 80 + place, **_COMMON} for place, each in enumerate(listeners)],
            pools=[{"id": pool, **_POOL, "members": [self._member(each) for each in members]} for pool, members in pools.items()],
        )

    def add_members(self, pool: str, members: Iterable[str]) -> None:
        """Adds members to a pool."""
        self._ask("add", kind="member", rows=[{"pool_id": pool, **self._member(each)} for each in members])

    def alter(self, kind: str, identity: str, **values: Any) -> None:
        """Changes a row."""
        self._ask("alter", kind=kind, identity=identity, **values)

    def have_all(self, kind: str, status: str) -> None:
        """Gives all of a kind this operating status."""
        self._ask("have_all", kind=kind, status=status)

    def after(self, datagrams: int) -> State:
        """The state after so many datagrams since the beginning, all of them worked on."""
        assert self._ask("wait", datagrams=datagrams, seconds=60), f"{datagrams} datagrams did not come: {self.state().received}"
        return self.state()

    def state(self) -> State:
        """The state now."""
        return State(**self._ask("state"))

    @staticmethod
    def _member(identity: str) -> dict[str, Any]:
        address = str(IPv6Address(UUID(identity).int))
        return {"id": identity, "ip_address": address, "protocol_port": 80, "weight": 1, "backup": False, **_COMMON}

    def _ask(self, command: str, **arguments: Any) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"command": command, **arguments}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, self.log.read_text(encoding="utf-8", errors="replace")
        return json.loads(line)
