"""Octavia's controller as a process beside the tests: commands go in, what it did comes out. `octavia_side.py` is the other end."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from octavia_models import reference

from compiler.material import Material

if TYPE_CHECKING:
    from support.namespaces import Namespace

    from compiler.graph import LoadBalancer
    from compiler.secrets import Secrets

HERE = Path(__file__).parent
PYTHON = HERE.parents[1] / ".venv" / "octavia" / "bin" / "python"

#: What Octavia calls the driver that it brings, and ours.
OWN_DRIVER, OUR_DRIVER = "amphora_haproxy_rest_driver", "hydria"

_PEM = re.compile(rb"-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----\n", re.DOTALL)


class Controller(NamedTuple):
    """Octavia, and the machine (a network namespace) that it is on."""

    machine: Namespace
    octavia: Octavia


class Exchange(NamedTuple):
    """One HTTP request of Octavia's to an agent, and what it was answered."""

    method: str
    path: str
    status: int
    type: str
    etag: str | None
    text: str

    def json(self) -> Any:
        """The body."""
        return json.loads(self.text)


class OctaviaError(Exception):
    """Octavia raised an exception; `type` is its class."""

    def __init__(self, kind: str, text: str, exchanges: list[Exchange]) -> None:
        self.type = kind
        self.exchanges = exchanges
        told = "".join(f"\n{each.method} {each.path}: {each.status} {each.text}" for each in exchanges[-1:])
        super().__init__(f"{kind}: {text}{told}")


class Octavia:
    """Octavia's controller. Start it in the network namespace in which it is to be: the thread that makes it decides.

    `exchanges` are those of the last command.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.secrets = directory / "secrets"
        self.secrets.mkdir(parents=True)
        self.log = directory / "octavia.log"
        self.exchanges: list[Exchange] = []
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [PYTHON, "-W", "ignore", HERE / "octavia_side.py"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=directory,
                text=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        with self._process as process:
            process.communicate(timeout=30)

    def command(self, name: str, **arguments: Any) -> Any:
        """What a command of `octavia_side.Octavia` returned. Raises OctaviaError."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"command": name, **arguments}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"Octavia's side has gone; it said:\n{self.log.read_text()}"
        answer = json.loads(line)
        self.exchanges = [Exchange(**each) for each in answer["exchanges"]]
        if answer["raised"] is not None:
            raise OctaviaError(answer["raised"]["type"], answer["raised"]["text"], self.exchanges)
        return answer["result"]

    def configure(self, driver: str = OWN_DRIVER, **groups: dict[str, Any]) -> None:
        """Options by group, and the driver to begin with. Octavia's certificates are files of ours in any case."""
        certificates = {"cert_manager": "local_cert_manager", "storage_path": str(self.secrets)}
        self.command("configure", options={"certificates": certificates, **groups}, driver=driver)

    def keep_secrets(self, graph: LoadBalancer, secrets: Secrets) -> None:
        """Puts what the graph refers to where Octavia's certificate manager looks for it."""
        material = Material(secrets)
        for listener in graph.listeners:
            for each in (listener.default_tls_container_ref, *listener.sni_container_refs):
                self._keep_identity(each, material)
            self._keep_secret(listener.client_ca_tls_container_ref, material)
            self._keep_secret(listener.client_crl_container_ref, material)
        for pool in graph.pools:
            self._keep_identity(pool.tls_container_ref, material)
            self._keep_secret(pool.ca_tls_container_ref, material)
            self._keep_secret(pool.crl_container_ref, material)

    def _keep_identity(self, given: str | None, material: Material) -> None:
        if given is not None:
            certificate, *chain, key = _PEM.findall(material.identity(given).pem)
            place = self.secrets / str(reference(given))
            place.with_suffix(".crt").write_bytes(certificate)
            place.with_suffix(".key").write_bytes(key)
            if chain:
                place.with_suffix(".int").write_bytes(b"".join(chain))

    def _keep_secret(self, given: str | None, material: Material) -> None:
        if given is not None:
            is_list = "crl" in given
            found = material.revocations(given).pem if is_list else material.authorities(given).pem
            (self.secrets / str(reference(given))).with_suffix(".crt").write_bytes(found)
