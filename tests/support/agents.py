"""Agents on machines of their own: a namespace with an agent in it, clouds of network segments that plug interfaces into it, and the
certificates by which agents and controllers know each other.
"""

from __future__ import annotations

import http.client
import os
import signal
import ssl
import subprocess
import sys
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from agent.stats_socket import StatsSocket
from hydria.lab.certificates import Authority
from support.namespaces import Namespace
from support.polling import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hydria.lab.certificates import Certificate

PORT = 9443

#: Where Octavia has an amphora keep its files; its templates know it.
BASE = "/var/lib/octavia"
#: What is /etc/octavia elsewhere.
ETC = "/var/lib/octavia-etc"

# The machine has a /var/lib of its own, so that all machines can have the same places, as real ones do; and as much memory as real ones, of
# which Octavia gives a share to HAProxy. Other mounts, those that name network namespaces above all, are everybody's.
_SCRIPT = f"""\
mount --make-private /proc
mount --bind "$0/meminfo" /proc/meminfo
mount --make-private "$(findmnt -n -o TARGET --target /var/lib)"
mount -t tmpfs -o mode=755 none /var/lib
mkdir {BASE} {ETC}
mount --bind "$0/lib" {BASE}
mount --bind "$0/etc" {ETC}
exec "$@"
"""
_AS_ON_A_MACHINE = ("unshare", "--mount", "--propagation", "unchanged", "--", "sh", "-ec", _SCRIPT)

_MEMORY = {"MemTotal": 1_000_000, "MemFree": 200_000, "Buffers": 20_000, "Cached": 300_000, "SwapCached": 0, "Shmem": 1_000, "Slab": 40_000}

#: Seconds. Python has to start, prove its TLS and look at what is there.
_STARTING = 30.0


class Trust:
    """The authorities of one installation: that of its agents and that of its controllers."""

    def __init__(self) -> None:
        self.agents = Authority("Agents")
        self.controllers = Authority("Controllers")

    def controller(self) -> Certificate:
        """What a controller presents."""
        return self.controllers.client("controller")

    def context(self, certificate: Certificate | None) -> ssl.SSLContext:
        """What a controller connects with that presents this certificate. The amphora's id is the name to ask for."""
        context = ssl.create_default_context(cadata=self.agents.certificate_pem.decode())
        if certificate is not None:
            certificate.load_into(context)
        return context


class Traffic(Namespace):
    """The namespace in which a machine's agent has its traffic: the agent makes it."""

    def __init__(self, machine: Namespace) -> None:
        self.label = "traffic"
        self.name = f"{machine.name}-t"

    @property
    def exists(self) -> bool:
        """Whether there is one."""
        return Path("/run/netns", self.name).exists()

    def close(self) -> None:
        """Removes it, if it is there."""
        if self.exists:
            super().close()


class AgentMachine:
    """A machine whose agent is to listen at `address`. What it keeps is below `directory`, whose name should be short; `base` and `etc` there
    are its BASE and ETC.

    A context manager: leaving it ends all that runs on the machine.
    """

    def __init__(self, directory: Path, trust: Trust, address: str, label: str = "amphora") -> None:
        self.id = str(uuid.uuid4())
        self.address = address
        self.trust = trust
        self.directory = directory
        self.base, self.etc, self.run, self.state = (directory / name for name in ("lib", "etc", "run", "state"))
        for made in (self.base / "certs", self.etc, self.run, self.state):
            made.mkdir(parents=True)
        (directory / "meminfo").write_text("".join(f"{name}: {kilobytes} kB\n" for name, kilobytes in _MEMORY.items()))
        self.configuration = self.etc / "amphora-agent.conf"
        self.certificate = self.etc / "server.pem"
        self.authority = self.etc / "client_ca.pem"
        self.certificate.write_bytes(self.issue().bundle_pem)
        self.authority.write_bytes(trust.controllers.certificate_pem)
        self.log = directory / "agent.log"
        #: What is run as its agent.
        self.program = [str(Path(sys.executable).with_name("hydria-agent"))]
        self._agent: subprocess.Popen[bytes] | None = None
        self.machine = Namespace(label)
        self.traffic = Traffic(self.machine)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.power_off()
        self.machine.close()

    def issue(self) -> Certificate:
        """A certificate that this machine's agent may present."""
        return self.trust.agents.server(self.id)

    def settings(self, *, topology: str = "SINGLE", controllers: str = "", interval: int = 10, key: str = "insecure") -> str:
        """An `amphora-agent.conf`, as Octavia gives one to an amphora."""
        return f"""[DEFAULT]
debug = False
use_syslog = True
syslog_log_facility = LOG_LOCAL1

[haproxy_amphora]
base_cert_dir = {BASE}/certs
base_path = {BASE}
bind_host = {self.address}
bind_port = {PORT}
haproxy_cmd = /usr/sbin/haproxy
user_log_facility = 0
administrative_log_facility = 1

[health_manager]
controller_ip_port_list = {controllers}
heartbeat_interval = {interval}
heartbeat_key = {key}

[amphora_agent]
agent_server_ca = {ETC}/client_ca.pem
agent_server_cert = {ETC}/server.pem
agent_server_network_dir = {ETC}/interfaces
agent_request_read_timeout = 180
amphora_id = {self.id}
amphora_udp_driver = keepalived_lvs
agent_tls_protocol = TLSv1.2

[controller_worker]
loadbalancer_topology = {topology}
"""

    def configure(self, text: str | None = None) -> None:
        """Writes the agent's configuration: `text`, or `settings`."""
        self.configuration.write_text(self.settings() if text is None else text)

    def command(self, verb: str, *arguments: str) -> list[str]:
        """`hydria-agent VERB` with this machine's places."""
        return [
            *(*_AS_ON_A_MACHINE, str(self.directory)),
            *self.program,
            *("--octavia-conf", str(self.configuration)),
            *("--namespace", self.traffic.name),
            *("--run-dir", str(self.run)),
            *("--state-dir", str(self.state)),
            *("--services", "supervised"),
            *(verb, *arguments),
        ]

    def start(self) -> None:
        """Starts the agent, and waits until it answers."""
        self.begin()
        eventually(self.answers, f"an answer of the agent that logs to {self.log}", _STARTING)

    def begin(self) -> None:
        """Starts the agent."""
        with self.log.open("ab") as log, self.machine.entered():
            self._agent = subprocess.Popen(
                self.command("serve"), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def answers(self) -> bool:
        """Whether the agent answers; an AssertionError where it has ended."""
        assert self._agent is not None
        assert self._agent.poll() is None, f"the agent ended with {self._agent.returncode}:\n{self.log.read_text()}"
        try:
            return self.get("/")[0] == 200
        except OSError:
            return False

    def get(self, path: str) -> tuple[int, bytes]:
        """Asks the agent as a controller does, from its own machine: status and body."""
        with self.connection(self.trust.controller()) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()

    @contextmanager
    def connection(self, certificate: Certificate | None) -> Iterator[http.client.HTTPSConnection]:
        """A connection to the agent from its own machine, with a client that presents `certificate`."""
        context = self.trust.context(certificate)
        plain = http.client.HTTPConnection(self.address, PORT, timeout=10)
        connection = http.client.HTTPSConnection(self.id, PORT, timeout=10, context=context)
        with self.machine.entered():
            plain.connect()
        try:
            connection.sock = context.wrap_socket(plain.sock, server_hostname=self.id)
            yield connection
        finally:
            connection.close()
            plain.close()

    def stop(self) -> None:
        """Ends the agent as an operator does; what it has started goes on."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends the agent as the kernel does when it is out of memory."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self._agent is not None:
            # What it has started meanwhile may be in its session.
            send = os.kill if number == signal.SIGTERM else os.killpg
            if self._agent.poll() is None:
                send(self._agent.pid, number)
            self._agent.wait(30)
            self._agent = None

    def run_agent(self, verb: str, *arguments: str) -> str:
        """Runs another verb of `hydria-agent` to its end: what it said."""
        return self.machine.run(*self.command(verb, *arguments))

    def stats(self, lb: str) -> StatsSocket:
        """The stats socket of a load balancer's HAProxy."""
        return StatsSocket(self.run / f"{lb}.sock")

    def processes(self) -> set[int]:
        """The ids of all processes on the machine."""
        names = [namespace.name for namespace in (self.machine, self.traffic) if Path("/run/netns", namespace.name).exists()]
        listed = [subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, check=True).stdout for name in names]
        return {int(word) for text in listed for word in text.split()}

    def power_off(self) -> None:
        """Ends everything on the machine at once, and forgets what only memory holds: its namespace and what is in `run`.

        Interfaces for traffic are unplugged.
        """
        if self._agent is not None:
            self.kill()
        eventually(self._all_killed, "the end of all processes")
        if self.traffic.exists:
            # The kernel takes its time to take a namespace down; until then, interfaces in it answer.
            for link in self.traffic.ip_json("link show"):
                if link["ifname"] != "lo":
                    self.traffic.ip(f"link delete {link['ifname']}")
        self.traffic.close()
        for path in self.run.rglob("*"):
            if not path.is_dir():
                path.unlink(missing_ok=True)

    def _all_killed(self) -> bool:
        """Also what is started while it looks."""
        found = self.processes()
        for each in found:
            try:
                os.kill(each, signal.SIGKILL)
            except ProcessLookupError:
                continue
        return not found


class Cloud:
    """Network segments, as a cloud has them: bridges in a namespace that nobody is on."""

    def __init__(self, *segments: str) -> None:
        self._switch = Namespace("cloud")
        self._ports = 0
        for segment in segments:
            self._switch.ip(f"link add {segment} type bridge")
            self._switch.ip(f"link set {segment} up")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._switch.close()

    def join(self, segment: str, namespace: Namespace, interface: str, *addresses: str) -> None:
        """A cable from the segment to a new interface in the namespace, which is up and has these addresses (`address/prefix`)."""
        self._cable(segment, namespace, f"name {interface}")
        namespace.ip(f"link set {interface} up")
        for address in addresses:
            namespace.ip(f"address add {address} dev {interface}")

    def plug(self, segment: str, namespace: Namespace, mac: str, interface: str) -> None:
        """As a hypervisor plugs an interface into a running machine: it is there, and down."""
        self._cable(segment, namespace, f"name {interface} address {mac}")

    def _cable(self, segment: str, namespace: Namespace, peer: str) -> None:
        port = f"port{self._ports}"
        self._ports += 1
        self._switch.ip(f"link add {port} type veth peer {peer} netns {namespace.name}")
        self._switch.ip(f"link set {port} master {segment}")
        self._switch.ip(f"link set {port} up")
