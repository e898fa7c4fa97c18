"""A lab's compute and network drivers, as Octavia's worker has them: in a process of Octavia's environment."""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from octavia_process import PYTHON

from agent.client import AgentClient
from hydria import pki
from hydria.lab import bridges, namespaces
from hydria.lab.pid_one import HYPERVISOR
from hydria.octavia import layout
from hydria.octavia.cloud_things import Network

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab_cloud import Site

_SIDE = Path(__file__).with_name("lab_driver_side.py")
_VALID = 2


class DriverError(Exception):
    """What a driver has raised: `kind` is the class."""

    def __init__(self, kind: str, text: str) -> None:
        self.kind = kind
        super().__init__(f"{kind}: {text}")


class Drivers:
    """Both, of a site's lab. What they give are the fields of Octavia's models."""

    def __init__(self, site: Site, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.site = site
        self.authorities = pki.authorities(_VALID)
        self.pki = site.lab.directory / "pki"
        self.pki.mkdir()
        files = {**pki.authority_files(self.authorities), **pki.controller_files(self.authorities, "lab", _VALID)[1]}
        for name, (content, _) in files.items():
            (self.pki / name).write_bytes(content)

    def compute(self, method: str, *arguments: Any, **keywords: Any) -> Any:
        """A call of the compute driver. Raises DriverError."""
        return self._call("compute", method, arguments, keywords)

    def network(self, method: str, *arguments: Any, **keywords: Any) -> Any:
        """A call of the network driver. Raises DriverError."""
        return self._call("network", method, arguments, keywords)

    def build(self, amphora: str, *, by_user_data: bool = False, **keywords: Any) -> str:
        """An amphora, with the files that Octavia gives it, in either of its ways; its compute id."""
        own = pki.agent_files(self.authorities, amphora, _VALID)[1]
        files = {f"/etc/octavia/certs/{name}": own[name][0].decode() for name in ("server.pem", "client_ca.pem")}
        files["/etc/octavia/amphora-agent.conf"] = self._call("agent-config", "", (amphora, "SINGLE"), {})
        given = {"user_data": self._call("user-data", "", (files,), {})} if by_user_data else {"config_drive_files": files}
        networks = [self.site.cloud.named(Network, layout.MANAGEMENT).id]
        words = {"network_ids": networks, "amphora_flavor": "hydria", **given, **keywords}
        made: str = self.compute("build", name=f"amphora-{amphora}", **words)
        return made

    @contextmanager
    def agent(self, amphora: str, address: str) -> Iterator[AgentClient]:
        """An amphora's agent, as the controller reaches it."""
        client = AgentClient(address, amphora_id=amphora, ca=self.pki / "server_ca.pem", certificate=self.pki / "client.pem", timeout=30)
        with namespaces.inside(self.site.lab.network(HYPERVISOR)):
            yield client

    def _call(self, kind: str, method: str, arguments: Any, keywords: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = {"kind": kind, "method": method, "arguments": arguments, "keywords": keywords}
        self._process.stdin.write(json.dumps(asked, default=lambda model: {"model": vars(model)}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if answer["raised"] is not None:
            raise DriverError(*answer["raised"])
        return answer["result"]


@contextmanager
def drivers(site: Site) -> Iterator[Drivers]:
    """They end with the block."""
    bridges.bridge(site.lab.network(HYPERVISOR), layout.MANAGEMENT)
    bridges.settle(site.lab.network(HYPERVISOR), layout.MANAGEMENT, ["172.31.0.1/24"])
    with (
        (site.lab.directory / "side.log").open("wb") as log,
        subprocess.Popen(
            [PYTHON, "-W", "ignore", _SIDE, site.lab.directory], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        yield Drivers(site, process)
        process.communicate(timeout=30)


def vip(**fields: Any) -> SimpleNamespace:
    """A VIP as Octavia's database has it."""
    known: dict[str, Any] = {
        "ip_address": None,
        "subnet_id": None,
        "network_id": None,
        "port_id": None,
        "sg_ids": [],
        "octavia_owned": False,
    }
    return SimpleNamespace(**{**known, **fields})


def load_balancer(identity: str, its_vip: SimpleNamespace, **fields: Any) -> SimpleNamespace:
    """A load balancer, with nothing but its VIP."""
    known = {"project_id": "project", "topology": "SINGLE", "additional_vips": [], "listeners": [], "amphorae": []}
    return SimpleNamespace(id=identity, vip=its_vip, **{**known, **fields})
