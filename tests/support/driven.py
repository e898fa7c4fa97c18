"""A machine with an agent that is driven by the 2.0 contract, members in its traffic's namespace, and graphs of these."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

from agent.client import AgentClient
from hydria.cli import _run
from hydria.cli.output import Output
from hydria.lab.backends import HttpBackend
from hydria.lab.client import fetch
from support.agents import AgentMachine, Cloud, Trust

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

VIP, PORT = "127.0.0.1", 8080


def member_id(number: int) -> str:
    """The id of a graph's member."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, str(number)))


class Driven:
    """Everything of it is below `directory` and ends with `stack`. `lb` is the id of the load balancer that graphs describe.

    With `cloud`, the machine is on the segment `management` there, where the agent has `address`.
    """

    def __init__(
        self, stack: ExitStack, directory: Path, trust: Trust | None = None, *, address: str = "127.0.0.1", cloud: Cloud | None = None
    ) -> None:
        trust = trust or Trust()
        directory.mkdir(exist_ok=True)
        self.address = address
        self.amphora = stack.enter_context(AgentMachine(directory / "a", trust, address))
        self.amphora.machine.ip("link set lo up")
        if cloud is not None:
            cloud.join("management", self.amphora.machine, "mgmt0", f"{address}/24")
        self.amphora.configure()
        self.amphora.start()
        self.ca, self.certificate = directory / "server_ca.pem", directory / "client.pem"
        self.ca.write_bytes(trust.agents.certificate_pem)
        self.certificate.write_bytes(trust.controller().bundle_pem)
        self.client = AgentClient(address, amphora_id=self.amphora.id, ca=self.ca, certificate=self.certificate)
        with self.amphora.traffic.entered():
            self.members = [stack.enter_context(HttpBackend(name)) for name in ("m0", "m1", "m2")]
        self.directory = directory
        self.lb = str(uuid.uuid4())

    def graph(self, *weights: int, port: int = PORT, vip: str = VIP, **listener: Any) -> bytes:
        """As many members as weights."""
        members = [
            {"id": member_id(n), "name": f"m{n}", "address": member.address, "protocol_port": member.port, "weight": weight}
            for n, (member, weight) in enumerate(zip(self.members, weights, strict=False))
        ]
        pool = {"name": "pool", "protocol": listener.get("protocol", "HTTP"), "lb_algorithm": "SOURCE_IP", "members": members}
        web = {
            "id": member_id(100),
            "name": "web",
            "protocol": "HTTP",
            "protocol_port": port,
            "connection_limit": 100,
            "default_pool": pool,
        }
        return json.dumps({"loadbalancer": {"id": self.lb, "name": "lb", "vip_address": vip, "listeners": [web | listener]}}).encode()

    def file(self, *weights: int, **listener: Any) -> str:
        """The same in a file."""
        path = self.directory / "graph.json"
        path.write_bytes(self.graph(*weights, **listener))
        return str(path)

    def call(self, name: str, *arguments: Any, **named: Any) -> Any:
        """A call of the 2.0 contract, about the load balancer."""
        with self.amphora.machine.entered():
            return getattr(self.client, name)(self.lb, *arguments, **named)

    def there(self) -> list[str]:
        """The load balancers that the agent has."""
        with self.amphora.machine.entered():
            return self.client.loadbalancers()

    @property
    def options(self) -> list[str]:
        """By which the command reaches the agent, from its own machine."""
        return ["--agent", self.address, "--amphora", self.amphora.id, "--ca", str(self.ca), "--cert", str(self.certificate)]

    def hydria(self, *arguments: str) -> int:
        """The command, on the agent's own machine."""
        with self.amphora.machine.entered():
            return _run([arguments[0], *self.options, *arguments[1:]], Output())

    def weights(self) -> list[int]:
        """Of the members, in the graph that serves."""
        graph = json.loads(self.call("loadbalancer_graph").text)
        return [member["weight"] for member in graph["loadbalancer"]["listeners"][0]["default_pool"]["members"]]

    def serves(self, port: int = PORT) -> bool:
        """Whether somebody answers at the VIP."""
        with self.amphora.traffic.entered():
            try:
                return fetch((VIP, port)).status == 200
            except OSError:
                return False
