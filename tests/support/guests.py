"""Virtual machines of the image, emulated by QEMU: as Nova starts an amphora, with a shell in them that the image itself does not have.

The shell comes from outside: systemd 256 and newer takes units from the firmware's tables (SMBIOS credentials, systemd.system-credentials(7)), so
what is tested is the image as it is.
"""

from __future__ import annotations

import base64
import fcntl
import os
import socket
import struct
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from .disks import root_of
from .machines import PORT, Machine
from .qmp import Monitor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .agents import Trust
    from .namespaces import Namespace

#: What QEMU calls this machine, from within; heartbeats go there.
HOST = "10.0.2.2"

_TUNSETIFF, _IFF_TAP, _IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
_REQUEST = struct.Struct("16sH22x")
#: Seconds for a machine to switch itself off.
_SWITCHING_OFF = 600.0

_SHELL = """\
[Unit]
Description=A shell for the test
DefaultDependencies=no
After=systemd-udevd.service systemd-modules-load.service
StartLimitIntervalSec=0
[Service]
# Opened once: the kernel lets nobody open it a second time.
ExecStart=/bin/sh -c 'exec /bin/sh <>/dev/virtio-ports/shell >&0 2>&0'
Restart=always
RestartSec=1
KillMode=process
[Install]
WantedBy=multi-user.target
"""
_WANTED = "[Unit]\nWants=test-shell.service\n"


def with_shell(image: Path, directory: Path) -> Path:
    """The image itself, where its systemd takes units from outside; of Debian 12's, which does not, a copy with the shell in it."""
    copy = directory / "qemu.raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", image, copy], check=True)
    with root_of(copy, directory / "qemu") as root:
        old = 'VERSION_ID="12"' in (root / "usr/lib/os-release").read_text()
        if old:
            units = root / "etc/systemd/system"
            (units / "test-shell.service").write_text(_SHELL)
            (units / "multi-user.target.wants/test-shell.service").symlink_to("../test-shell.service")
    if not old:
        copy.unlink()
    return copy if old else image


class Guest(Machine):
    """A machine of the image at `image`, whose disk is a layer above it."""

    def __init__(
        self, directory: Path, image: Path, trust: Trust, name: str, *, topology: str = "SINGLE", controllers: str = "", memory: int = 512
    ) -> None:
        super().__init__(directory, trust, name, topology=topology, controllers=controllers, address=None)
        self._memory = memory
        self._disk = directory / "disk.qcow2"
        kind = "raw" if image.suffix == ".raw" else "qcow2"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", kind, "-b", image, self._disk], check=True)
        self._port = _free_port()
        self._qemu: subprocess.Popen[bytes] | None = None
        self._monitor: Monitor | None = None
        self._taps: dict[str, int] = {}
        self._nics: dict[str, tuple[str, int]] = {}

    def __exit__(self, *exception: object) -> None:
        super().__exit__(*exception)
        for descriptor in self._taps.values():
            os.close(descriptor)

    def power_on(self) -> None:
        """See `Machine.power_on`."""
        for name in ("qmp", "shell"):
            (self.directory / name).unlink(missing_ok=True)
        ports = [f"pcie-root-port,id=rp{slot},slot={slot},chassis={slot}" for slot in range(1, 7)]
        credentials = {"systemd.extra-unit.test-shell.service": _SHELL, "systemd.unit-dropin.multi-user.target~test": _WANTED}
        command = [
            *("qemu-system-x86_64", "-nodefaults", "-display", "none", "-machine", "q35", "-accel", "tcg,thread=single,tb-size=256"),
            # The guest's time follows the instructions that it has executed: on a busy machine everything takes longer, and nothing in the guest
            # runs into a time limit that it would keep on a machine of its own.
            *("-icount", "shift=1,sleep=on"),
            *("-cpu", "qemu64", "-m", str(self._memory), "-smp", "1", "-uuid", self.id, "-name", self.name),
            *("-serial", f"file:{self.directory / 'console.log'}", "-qmp", f"unix:{self.directory / 'qmp'},server=on,wait=off"),
            *("-device", "virtio-rng-pci", "-drive", f"file={self._disk},if=virtio,format=qcow2,cache=writeback"),
            *("-drive", f"file={self.drive},if=none,id=config,format=raw,readonly=on", "-device", "ide-cd,drive=config"),
            *("-netdev", f"user,id=management,hostfwd=tcp:127.0.0.1:{self._port}-:{PORT}"),
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
        """See `Machine.cut_power`."""
        self.forget_shell()
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
        self.wait_for_its_end()
        self.cut_power()

    def wait_for_its_end(self) -> None:
        """See `Machine.wait_for_its_end`."""
        assert self._qemu is not None
        self._qemu.wait(_SWITCHING_OFF)

    @property
    def monitor(self) -> Monitor:
        """The monitor of the QEMU that runs it."""
        assert self._monitor is not None
        return self._monitor

    def runs(self) -> bool:
        """See `Machine.runs`."""
        return self._qemu is not None and self._qemu.poll() is None

    def processor_seconds(self) -> float:
        """How long QEMU has kept processors busy since the machine was switched on."""
        assert self._qemu is not None
        fields = Path(f"/proc/{self._qemu.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def connect_shell(self) -> socket.socket:
        """See `Machine.connect_shell`."""
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(self.directory / "shell"))
        return connection

    @contextmanager
    def reached(self) -> Iterator[tuple[str, int]]:
        """See `Machine.reached`."""
        yield "127.0.0.1", self._port

    def plug(self, cloud: Namespace, bridge: str, mac: str) -> None:
        """See `Machine.plug`."""
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


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
