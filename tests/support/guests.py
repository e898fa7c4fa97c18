"""Virtual machines of the image, emulated: as Nova starts an amphora, with a shell in them that the image itself does not have.

The shell comes from outside: systemd takes units from the firmware's tables (SMBIOS credentials, systemd.system-credentials(7)), so what is
tested is the image as it is.
"""

from __future__ import annotations

import base64
import fcntl
import os
import socket
import struct
import subprocess
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Self

from agent.client import AgentClient
from agent.errors import AgentError

from .config_drives import as_disk, write_drive
from .polling import eventually
from .qmp import Monitor

if TYPE_CHECKING:
    from .agents import Trust
    from .namespaces import Namespace

PORT = 9443
#: Seconds. Emulated, and others use the machine too.
BOOTING = 600.0
_COMMAND = 180.0
#: What QEMU calls this machine, from within; heartbeats go there.
HOST = "10.0.2.2"

_TUNSETIFF, _IFF_TAP, _IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
_REQUEST = struct.Struct("16sH22x")

_SHELL = """\
[Unit]
Description=A shell for the test
DefaultDependencies=no
After=systemd-udevd.service systemd-modules-load.service
StartLimitIntervalSec=0
[Service]
ExecStart=/bin/sh -c 'exec /bin/sh </dev/virtio-ports/shell >/dev/virtio-ports/shell 2>&1'
Restart=always
RestartSec=1
KillMode=process
[Install]
WantedBy=multi-user.target
"""
_WANTED = "[Unit]\nWants=test-shell.service\n"


class Shell:
    """A shell of root's in a guest, at the other end of a UNIX socket."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._number = 0

    def try_run(self, command: str, patience: float = _COMMAND) -> tuple[int, str]:
        """Exit code and all that was said."""
        self._number += 1
        mark = f"end-{self._number}-{uuid.uuid4().hex}"
        coded = base64.b64encode(command.encode()).decode()
        # In a process of its own, which cannot end or change the shell.
        self._socket.sendall(
            f"echo {coded} | base64 -d >/run/test-command; sh /run/test-command </dev/null 2>&1; echo {mark} $?\n".encode()
        )
        said = b""
        ends = time.monotonic() + patience
        while (place := said.rfind(mark.encode() + b" ")) < 0 or b"\n" not in said[place:]:
            self._socket.settimeout(max(0.1, ends - time.monotonic()))
            received = self._socket.recv(65536)
            assert received, "the machine is gone"
            said += received
        text, _, code = said.decode(errors="replace").rpartition(mark)
        return int(code), text.replace("\r\n", "\n")

    def run(self, command: str, patience: float = _COMMAND) -> str:
        """What was said; an AssertionError where the command fails."""
        code, said = self.try_run(command, patience)
        assert code == 0, f"{command}: {code}\n{said}"
        return said

    def close(self) -> None:
        """Ends the connection; the shell goes on."""
        self._socket.close()


class Guest:
    """A machine of the image at `image`, whose disk is a layer above it, in `directory`.

    A context manager: leaving it takes its power away.
    """

    def __init__(
        self,
        directory: Path,
        image: Path,
        trust: Trust,
        name: str,
        *,
        topology: str = "SINGLE",
        controllers: str = "",
        memory: int = 512,
        accelerator: str = "tcg,thread=single,tb-size=256",
    ) -> None:
        self.id = str(uuid.uuid4())
        self.name = name
        self.directory = directory
        self.trust = trust
        self._memory, self._accelerator = memory, accelerator
        directory.mkdir(parents=True, exist_ok=True)
        self.ca, self.certificate = directory / "ca.pem", directory / "controller.pem"
        self.ca.write_bytes(trust.agents.certificate_pem)
        self.certificate.write_bytes(trust.controller().bundle_pem)
        self.disk = directory / "disk.qcow2"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", image, self.disk], check=True)
        self.mac = f"fa:16:3e:{uuid.uuid4().hex[:2]}:{uuid.uuid4().hex[:2]}:01"
        self.files = {
            "/etc/octavia/amphora-agent.conf": self.settings(topology, controllers).encode(),
            "/etc/octavia/certs/server.pem": trust.agents.server(self.id).bundle_pem,
            "/etc/octavia/certs/client_ca.pem": trust.controllers.certificate_pem,
            "/etc/rsyslog.d/10-rsyslog.conf": b"# The controller sends no logs on.\n",
        }
        network = {
            "links": [{"id": "tap0", "ethernet_mac_address": self.mac, "mtu": 1450, "type": "ovs"}],
            "networks": [{"id": "network0", "link": "tap0", "type": "ipv4_dhcp", "network_id": "management"}],
            "services": [],
        }
        self.drive = as_disk(write_drive(directory / "drive", self.files, instance=self.id, network=network), directory / "drive.iso")
        self.port = _free_port()
        self._qemu: subprocess.Popen[bytes] | None = None
        self._monitor: Monitor | None = None
        self._shell: Shell | None = None
        self._taps: dict[str, int] = {}
        self._nics: dict[str, tuple[str, int]] = {}

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
        for descriptor in self._taps.values():
            os.close(descriptor)

    # --- the machine ---

    def power_on(self) -> None:
        """Starts it; NICs that were plugged in are there from the start, as with Nova."""
        for name in ("qmp", "shell"):
            (self.directory / name).unlink(missing_ok=True)
        ports = [f"pcie-root-port,id=rp{slot},slot={slot},chassis={slot}" for slot in range(1, 7)]
        credentials = {"systemd.extra-unit.test-shell.service": _SHELL, "systemd.unit-dropin.multi-user.target~test": _WANTED}
        command = [
            *("qemu-system-x86_64", "-nodefaults", "-display", "none", "-machine", "q35", "-accel", self._accelerator),
            # The guest's time follows the instructions that it has executed: on a busy machine everything takes longer, and nothing in the guest
            # runs into a time limit that it would keep on a machine of its own.
            *("-icount", "shift=1,sleep=on"),
            *("-cpu", "qemu64", "-m", str(self._memory), "-smp", "1", "-uuid", self.id, "-name", self.name),
            *("-serial", f"file:{self.directory / 'console.log'}", "-qmp", f"unix:{self.directory / 'qmp'},server=on,wait=off"),
            *("-device", "virtio-rng-pci", "-drive", f"file={self.disk},if=virtio,format=qcow2,cache=writeback"),
            *("-drive", f"file={self.drive},if=none,id=config,format=raw,readonly=on", "-device", "ide-cd,drive=config"),
            *("-netdev", f"user,id=management,hostfwd=tcp:127.0.0.1:{self.port}-:{PORT}"),
            *("-device", f"virtio-net-pci,netdev=management,mac={self.mac},romfile="),
            *("-device", "virtio-serial-pci", "-chardev", f"socket,id=shell,path={self.directory / 'shell'},server=on,wait=off"),
            *("-device", "virtserialport,chardev=shell,name=shell"),
            *(word for port in ports for word in ("-device", port)),
        ]
        for name, text in credentials.items():
            value = base64.b64encode(text.encode()).decode()
            command += ["-smbios", f"type=11,value=io.systemd.credential.binary:{name}={value}"]
        for mac, (_, slot) in self._nics.items():
            descriptor = self._taps[mac]
            command += ["-netdev", f"tap,id=net{slot},fd={descriptor}"]
            command += ["-device", f"virtio-net-pci,bus=rp{slot},netdev=net{slot},id=nic{slot},mac={mac},romfile="]
        with (self.directory / "qemu.log").open("ab") as log:
            self._qemu = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=tuple(self._taps.values()), start_new_session=True
            )
        self._monitor = Monitor(self.directory / "qmp")

    def cut_power(self) -> None:
        """Takes its power away, in the middle of whatever it does."""
        if self._shell is not None:
            self._shell.close()
            self._shell = None
        if self._qemu is not None:
            self._qemu.kill()
            self._qemu.wait()
            self._qemu = None
        if self._monitor is not None:
            self._monitor.close()
            self._monitor = None

    def press_power_button(self) -> None:
        """As Nova does to stop a machine, which then switches itself off."""
        self.monitor.do("system_powerdown")
        assert self._qemu is not None
        self._qemu.wait(_COMMAND)
        self.cut_power()

    def reset(self) -> None:
        """The reset button: memory is lost, the devices stay."""
        if self._shell is not None:
            self._shell.close()
            self._shell = None
        self.monitor.do("system_reset")

    @property
    def monitor(self) -> Monitor:
        """The monitor of the QEMU that runs it."""
        assert self._monitor is not None
        return self._monitor

    @property
    def shell(self) -> Shell:
        """A shell in it; waits until there is one."""
        if self._shell is None:
            self._shell = Shell(self.directory / "shell")
            self._shell.run("true", BOOTING)
        return self._shell

    def forget_shell(self) -> None:
        """Of a machine that starts again."""
        if self._shell is not None:
            self._shell.close()
            self._shell = None

    def console(self) -> str:
        """What it has said on its console."""
        return (self.directory / "console.log").read_text(errors="replace")

    # --- the agent ---

    def client(self, timeout: float = 120.0) -> AgentClient:
        """What a controller has of it."""
        return AgentClient("127.0.0.1", self.port, amphora_id=self.id, ca=self.ca, certificate=self.certificate, timeout=timeout)

    def answers(self) -> bool:
        """Whether its agent answers; an AssertionError where the machine has ended."""
        assert self._qemu is not None
        assert self._qemu.poll() is None, (self.directory / "qemu.log").read_text()
        try:
            return self.client(5.0).version() == "1.0"
        except AgentError:
            return False

    def wait_for_agent(self) -> None:
        """Until it answers."""
        try:
            eventually(self.answers, f"an answer of {self.name}'s agent", BOOTING)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.console()[-4000:]}") from None

    # --- its network ---

    def plug(self, cloud: Namespace, bridge: str, mac: str) -> None:
        """As Nova plugs a NIC into a running machine: a tap on the bridge in that namespace."""
        slot = len(self._nics) + 1
        tap = f"tap-{self.name[:6]}-{slot}"
        with cloud.entered():
            descriptor = os.open("/dev/net/tun", os.O_RDWR)
            fcntl.ioctl(descriptor, _TUNSETIFF, _REQUEST.pack(tap.encode(), _IFF_TAP | _IFF_NO_PI))
        cloud.ip(f"link set {tap} master {bridge}")
        cloud.ip(f"link set {tap} up")
        self._taps[mac], self._nics[mac] = descriptor, (tap, slot)
        self.monitor.pass_file(f"fd{slot}", descriptor)
        self.monitor.do("netdev_add", type="tap", id=f"net{slot}", fd=f"fd{slot}")
        self.monitor.do("device_add", driver="virtio-net-pci", bus=f"rp{slot}", netdev=f"net{slot}", id=f"nic{slot}", mac=mac)

    def ip(self, words: str) -> str:
        """`ip …` in its namespace for traffic."""
        return self.shell.run(f"ip -n amphora-haproxy {words}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
