"""A lab of Octavia's as its user has it: `openstack loadbalancer …` as it is, clients, members; gone afterwards, whatever happened."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from octavia_process import PYTHON
from support.labs import lab_name
from support.polling import eventually

from hydria.lab import record
from hydria.lab.client import Answer, fetch
from hydria.lab.lab import CLIENTS
from hydria.lab.namespaces import inside
from hydria.lab.octavia_building import build
from hydria.lab.octavia_plan import OctaviaPlan
from hydria.lab.octavia_servers import OWN, Servers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hydria.lab.octavia_lab import OctaviaLab

_OPENSTACK = PYTHON.with_name("openstack")
#: Seconds: an amphora is made meanwhile, on a machine that has other things to do.
_PATIENCE = 240


class UserError(Exception):
    """`openstack` has said that something cannot be."""


class User:
    """Who uses a lab."""

    def __init__(self, lab: OctaviaLab, environment: dict[str, str] | None = None) -> None:
        self.lab = lab
        self.environment = lab.environment if environment is None else environment

    def openstack(self, *arguments: str) -> Any:
        """What the command shows, as JSON; None where it shows nothing. Raises UserError."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith("OS_")}
        done = subprocess.run(
            [_OPENSTACK, *_in_json(arguments)],
            capture_output=True,
            text=True,
            check=False,
            env={**environment, **self.environment},
        )
        if done.returncode != 0:
            raise UserError(done.stderr.strip())
        return json.loads(done.stdout) if done.stdout.strip() else None

    def loadbalancer(self, *arguments: str) -> Any:
        """`openstack loadbalancer …`."""
        return self.openstack("loadbalancer", *arguments)

    def active(self, identity: str) -> dict[str, Any]:
        """The load balancer, once it is ACTIVE; a check of its own, because the command's `--wait` looks once in five seconds."""

        def look() -> dict[str, Any] | None:
            found: dict[str, Any] = self.lab.ask(f"/v2.0/lbaas/loadbalancers/{identity}")["loadbalancer"]
            assert found["provisioning_status"] != "ERROR", self.log()
            return found if found["provisioning_status"] == "ACTIVE" else None

        return eventually(look, f"load balancer {identity} ACTIVE", _PATIENCE) or {}

    def amphorae(self, **wanted: str) -> list[dict[str, Any]]:
        """Those of which this is so."""
        found: list[dict[str, Any]] = self.lab.ask("/v2.0/octavia/amphorae")["amphorae"]
        return [one for one in found if all(one[key] == value for key, value in wanted.items())]

    def get(self, address: str, port: int = 80, **keywords: Any) -> Answer:
        """A request of a client."""
        with inside(self.lab.network(CLIENTS)):
            return fetch((address, port), patience=5, **keywords)

    def answers(self, address: str, port: int = 80) -> str | None:
        """Who answers a client's request; None where nobody does."""
        try:
            return self.get(address, port).name
        except OSError:
            return None

    def log(self) -> str:
        """The end of what Octavia has said."""
        return (self.lab.directory / "control.log").read_text(errors="replace")[-6000:]


def _in_json(arguments: tuple[str, ...]) -> tuple[str, ...]:
    """The command, answering in JSON where it can."""
    shows = ("create", "show", "list")
    return (*arguments, "-f", "json") if any(each in shows for each in arguments[:3]) and "status" not in arguments[:2] else arguments


@contextmanager
def octavia_lab(label: str, servers: Servers = OWN, *, with_keystone: bool = False, **wishes: Any) -> Iterator[User]:
    """One that is up."""
    name = lab_name(label)
    plan = OctaviaPlan(name=name, port=0, **wishes)
    try:
        yield User(build(plan, str(PYTHON), lambda _: None, servers=servers, with_keystone=with_keystone))
    finally:
        record.end(name)
