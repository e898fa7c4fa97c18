"""An agent whose collaborators do nothing but remember: for what HTTP makes of calls."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agent.collaborators import Agent
from agent.errors import InvalidRequest, NotFoundError
from agent.haproxies import Listener
from agent.identity import Identity
from agent.metrics.tally import Tally
from agent.network.requests import NetworkPlug, Rule, VipPlug
from agent.settings import LiveSettings
from agent.statistics import Row, Statistics
from hydria.lab.certificates import Authority, Certificate

AMPHORA = "2b1a2e0c-1f0c-4bb2-9a0e-6f5d2a1b3c4d"


class Remembering:
    """Notes what is called, and raises what a test puts into `failures` under the name of a method."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.failures: dict[str, Exception] = {}

    def _note(self, *call: Any) -> str:
        self.calls.append(call)
        if call[0] in self.failures:
            raise self.failures[call[0]]
        return f"{call[0]}: done"


class Configurations(Remembering):
    """HAProxies, or keepalived's listeners: configurations by id."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.texts: dict[str, bytes] = {}
        self._kind = kind

    def upload(self, *arguments: Any) -> None:
        self._note("upload", *arguments)
        self.texts[arguments[-2]] = arguments[-1]

    def config(self, identifier: str) -> bytes:
        self._note("config", identifier)
        if identifier not in self.texts:
            raise NotFoundError(f"{identifier} is not here")
        return self.texts[identifier]

    def start(self, identifier: str) -> str:
        return self._note("start", identifier)

    def stop(self, identifier: str) -> None:
        self._note("stop", identifier)

    def reload(self, identifier: str) -> str:
        return self._note("reload", identifier)

    def delete(self, identifier: str) -> None:
        self._note("delete", identifier)
        self.texts.pop(identifier, None)

    def loadbalancers(self) -> Sequence[str]:
        return list(self.texts)

    def listeners(self) -> Sequence[Listener]:
        return [Listener("ACTIVE", identifier, self._kind) for identifier in self.texts]

    def running(self, identifier: str) -> bool:
        return identifier in self.texts


class FakeVrrp(Remembering):
    def upload(self, text: bytes) -> None:
        self._note("upload", text)

    def start(self) -> str:
        return self._note("start")

    def stop(self) -> None:
        self._note("stop")

    def reload(self) -> str:
        return self._note("reload")


class FakeCertificates(Remembering):
    def __init__(self) -> None:
        super().__init__()
        self.files: dict[tuple[str, str], bytes] = {}

    def put(self, lb: str, name: str, content: bytes) -> None:
        self._note("put", lb, name)
        self.files[lb, name] = content

    def md5(self, lb: str, name: str) -> str:
        if (lb, name) not in self.files:
            raise NotFoundError(f"{name} is not here")
        return hashlib.md5(self.files[lb, name]).hexdigest()

    def delete(self, lb: str, name: str) -> None:
        self.files.pop((lb, name), None)


class FakeNetwork(Remembering):
    def plug_vip(self, plan: VipPlug, *, active_standby: bool) -> str:
        return self._note("plug_vip", plan, active_standby)

    def plug_network(self, plan: NetworkPlug, *, active_standby: bool) -> str:
        return self._note("plug_network", plan, active_standby)

    def interface_of(self, address: str) -> str:
        self._note("interface_of", address)
        if address == "192.0.2.10":
            return "eth1"
        if address == "192.0.2.11":
            raise NotFoundError(f"no interface has {address}")
        raise InvalidRequest(f"{address!r} is no address")

    def set_rules(self, interface: str, rules: Sequence[Rule]) -> None:
        self._note("set_rules", interface, tuple(rules))

    def counters(self) -> Mapping[str, tuple[int, int]]:
        return {"eth1": (10, 20)}


class FakeMachine:
    def info(self) -> Mapping[str, str]:
        return {"hostname": "amphora", "haproxy_version": "2.6.12"}

    def measurements(self) -> Mapping[str, Any]:
        return {"cpu_count": 2, "load": ["0.1", "0.2", "0.3"]}


class FakeMetrics:
    def text(self) -> bytes:
        return b"metric 1\n"


class FakeStatistics:
    def read(self) -> Statistics:
        return Statistics(rows=[Row(kind="listener", listener="web", id="web", status="OPEN")])


class FakeGraphs(Remembering):
    """Remembers, and answers nothing but what a test puts into `answers` under the name of a method."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)

        def call(*arguments: Any) -> Any:
            self._note(name, *arguments)
            return self.answers.get(name)

        return call


class Certified:
    """The files of an agent's certificates and settings in a directory, and both authorities."""

    def __init__(self, directory: Path, **settings: Any) -> None:
        self.directory = directory
        self.servers, self.clients = Authority("servers"), Authority("clients")
        self.certificate = self.servers.server(AMPHORA)
        self.server_pem = directory / "server.pem"
        self.server_pem.write_bytes(pem(self.certificate))
        self.client_ca = directory / "client_ca.pem"
        self.client_ca.write_bytes(self.clients.certificate_pem)
        self.conf = directory / "amphora-agent.conf"
        self.conf.write_text(self.text(**settings))

    def text(self, **settings: Any) -> str:
        """A settings file: these of [amphora_agent], and what else is needed."""
        given = {"agent_server_cert": self.server_pem, "agent_server_ca": self.client_ca, "amphora_id": AMPHORA, **settings}
        lines = [f"{key} = {value}" for key, value in given.items()]
        return "[haproxy_amphora]\nbind_host = ::\nbind_port = 9443\n[amphora_agent]\n" + "\n".join(lines) + "\n"


def pem(certificate: Certificate) -> bytes:
    """A certificate and its key, as Nova puts them on an amphora."""
    return certificate.certificate_pem + certificate.key_pem


class FakeAgent:
    """The collaborators, each with what it remembers, and the `Agent` of them."""

    def __init__(self, directory: Path, *, fresh: bool = True) -> None:
        if fresh:
            self.files = Certified(directory)
        self.settings = LiveSettings(directory / "amphora-agent.conf")
        self.identity = Identity(self.settings)
        self.network = FakeNetwork()
        self.haproxies = Configurations("HTTP")
        self.lvs = Configurations("UDP")
        self.vrrp = FakeVrrp()
        self.certificates = FakeCertificates()
        self.graphs = FakeGraphs()
        self.drains = FakeGraphs()
        self.resigning = FakeGraphs()
        self.tally = Tally()
        self.agent = Agent(
            settings=self.settings,
            machine=FakeMachine(),
            identity=self.identity,
            network=self.network,
            haproxies=self.haproxies,
            lvs=self.lvs,
            vrrp=self.vrrp,
            certificates=self.certificates,
            metrics=FakeMetrics(),
            statistics=FakeStatistics(),
            graphs=self.graphs,
            drains=self.drains,
            resigning=self.resigning,
            tally=self.tally,
        )
