"""Virtual machines of the image: what they are given by a cloud and what is asked of them, whoever runs them (`guests`, `uml_guests`)."""

from __future__ import annotations

import base64
import socket
import time
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self, TypeVar

from agent.client import AgentClient
from agent.errors import AgentError

from .config_drives import as_disk, write_drive
from .polling import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from .agents import Trust
    from .namespaces import Namespace

PORT = 9443
#: Seconds. Emulated, and others use the machine too.
BOOTING = 1500.0
_COMMAND = 300.0
_ANSWERING = 60.0

T = TypeVar("T")


class Shell:
    """A shell of root's in a machine, at the other end of a connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    def try_run(self, command: str, patience: float = _COMMAND) -> tuple[int, str]:
        """Exit code and all that was said."""
        mark = uuid.uuid4().hex
        coded = base64.b64encode(command.encode()).decode()
        # In a process of its own, which cannot end or change the shell.
        self._socket.sendall(
            f"echo {coded} | base64 -d >/run/test-command; echo begin {mark}; sh /run/test-command </dev/null 2>&1; echo end {mark} $?\n".encode()
        )
        said = b""
        ends = time.monotonic() + patience
        while (place := said.rfind(f"end {mark} ".encode())) < 0 or b"\n" not in said[place:]:
            self._socket.settimeout(max(0.1, ends - time.monotonic()))
            received = self._socket.recv(65536)
            assert received, "the machine is gone"
            said += received
        text, _, code = said.decode(errors="replace").replace("\r\n", "\n").rpartition(f"end {mark}")
        # What comes before is of somebody who has not waited for it.
        return int(code), text.rpartition(f"begin {mark}\n")[2]

    def run(self, command: str, patience: float = _COMMAND) -> str:
        """What was said; an AssertionError where the command fails."""
        code, said = self.try_run(command, patience)
        assert code == 0, f"{command}: {code}\n{said}"
        return said

    def close(self) -> None:
        """Ends the connection; the shell goes on."""
        self._socket.close()


class Machine:
    """A machine of the image, in `directory`; `address` is its own on the management network, None where it asks DHCP; `keys` may log in.

    A context manager: leaving it takes its power away.
    """

    def __init__(
        self, directory: Path, trust: Trust, name: str, *, topology: str, controllers: str, address: str | None, keys: Sequence[str] = ()
    ) -> None:
        self.id = str(uuid.uuid4())
        self.name = name
        self.directory = directory
        self.trust = trust
        directory.mkdir(parents=True, exist_ok=True)
        self.ca, self.certificate = directory / "ca.pem", directory / "controller.pem"
        self.ca.write_bytes(trust.agents.certificate_pem)
        self.certificate.write_bytes(trust.controller().bundle_pem)
        self.mac = f"fa:16:3e:{uuid.uuid4().hex[:2]}:{uuid.uuid4().hex[:2]}:01"
        self.files = {
            "/etc/octavia/amphora-agent.conf": self.settings(topology, controllers).encode(),
            "/etc/octavia/certs/server.pem": trust.agents.server(self.id).bundle_pem,
            "/etc/octavia/certs/client_ca.pem": trust.controllers.certificate_pem,
            "/etc/rsyslog.d/10-rsyslog.conf": b"# The controller sends no logs on.\n",
        }
        given = {"type": "ipv4", "ip_address": address, "netmask": "255.255.255.0"} if address else {"type": "ipv4_dhcp"}
        network = {
            "links": [{"id": "tap0", "ethernet_mac_address": self.mac, "mtu": 1450, "type": "ovs"}],
            "networks": [{"id": "network0", "link": "tap0", "network_id": "management", **given}],
            "services": [],
        }
        named = {f"key{number}": key for number, key in enumerate(keys)}
        drive = write_drive(directory / "drive", self.files, instance=self.id, network=network, public_keys=named)
        self.drive = as_disk(drive, directory / "drive.iso")
        self._shell: Shell | None = None

    def settings(self, topology: str, controllers: str) -> str:
        """As Octavia writes them."""
        return f"""[DEFAULT]
debug = False
use_syslog = True

[haproxy_amphora]
base_cert_dir = /var/lib/octavia/certs
base_path = /var/lib/octavia
bind_host = ::
bind_port = {PORT}
haproxy_cmd = /usr/sbin/haproxy
user_log_facility = 0
administrative_log_facility = 1

[health_manager]
controller_ip_port_list = {controllers}
heartbeat_interval = 5
heartbeat_key = insecure

[amphora_agent]
agent_server_ca = /etc/octavia/certs/client_ca.pem
agent_server_cert = /etc/octavia/certs/server.pem
agent_server_network_dir = /etc/octavia/interfaces
agent_request_read_timeout = 180
amphora_id = {self.id}
amphora_udp_driver = keepalived_lvs
agent_tls_protocol = TLSv1.2

[controller_worker]
loadbalancer_topology = {topology}
"""

    def __enter__(self) -> Self:
        self.power_on()
        return self

    def __exit__(self, *exception: object) -> None:
        self.cut_power()

    # --- whoever runs it has these ---

    def power_on(self) -> None:
        """Starts it; NICs that were plugged in are there from the start, as with Nova."""
        raise NotImplementedError

    def cut_power(self) -> None:
        """Takes its power away, in the middle of whatever it does."""
        raise NotImplementedError

    def switch_off(self) -> None:
        """Has it end in order, and waits for that."""
        self.shell.try_run("systemctl poweroff --no-block")
        self.wait_for_its_end()
        self.cut_power()

    def wait_for_its_end(self) -> None:
        """Until it has switched itself off."""
        raise NotImplementedError

    def runs(self) -> bool:
        """Whether it does."""
        raise NotImplementedError

    def plug(self, cloud: Namespace, bridge: str, mac: str) -> None:
        """As Nova plugs a NIC into a running machine: a tap on the bridge in that namespace."""
        raise NotImplementedError

    def connect_shell(self) -> socket.socket:
        """A connection to its shell."""
        raise NotImplementedError

    @contextmanager
    def reached(self) -> Iterator[tuple[str, int]]:
        """Where its agent is, for the calling thread as long as this lasts."""
        raise NotImplementedError

    # --- a shell in it ---

    @property
    def shell(self) -> Shell:
        """A shell of root's; waits until there is one."""
        if self._shell is None:
            self._shell = eventually(self._answering_shell, "a shell", BOOTING)
        assert self._shell is not None
        return self._shell

    def _answering_shell(self) -> Shell | None:
        """One, if there is one by now. What a machine is told while it goes down or comes up, nobody may ever read."""
        shell = Shell(self.connect_shell())
        try:
            shell.run("true", _ANSWERING)
        except (OSError, AssertionError):
            shell.close()
            return None
        return shell

    def forget_shell(self) -> None:
        """Of a machine that starts again."""
        if self._shell is not None:
            self._shell.close()
            self._shell = None

    def ip(self, words: str) -> str:
        """`ip …` in its namespace for traffic."""
        return self.shell.run(f"ip -n amphora-haproxy {words}")

    def console(self) -> str:
        """What it has said on its console."""
        return (self.directory / "console.log").read_text(errors="replace")

    # --- its agent ---

    def ask(self, call: Callable[[AgentClient], T], timeout: float = 600.0) -> T:
        """Has something done with the client that a controller has of it."""
        with self.reached() as (address, port):
            return call(AgentClient(address, port, amphora_id=self.id, ca=self.ca, certificate=self.certificate, timeout=timeout))

    def answers(self) -> bool:
        """Whether its agent answers; an AssertionError where the machine has ended."""
        assert self.runs(), self.console()[-2000:]
        try:
            return self.ask(lambda client: client.version(), 20.0) == "1.0"
        except AgentError:
            return False

    def wait_for_agent(self) -> None:
        """Until it answers."""
        try:
            eventually(self.answers, f"an answer of {self.name}'s agent", BOOTING)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.console()[-4000:]}") from None

    def wait_until_settled(self) -> None:
        """Until systemd has nothing left to do."""
        eventually(lambda: not self.shell.run("systemctl list-jobs --no-legend").strip(), "the end of all jobs", BOOTING)
