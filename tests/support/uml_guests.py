"""Virtual machines of the image on user-mode Linux: its files and its systemd on a kernel that is a process, up in a fraction of the time.

No boot loader, no initial file system, no kernel of the image's: those are `guests`' business. This kernel has no nftables for IP and no encrypted
directories, so there is a stand-in for `nft`, and the first boot says what it cannot encrypt.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from hydria.lab import uml, uml_modules

from .disks import root_of
from .machines import PORT, Machine

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from .agents import Trust
    from .namespaces import Namespace


_SHELL = """\
[Unit]
Description=A shell for the test
DefaultDependencies=no
StartLimitIntervalSec=0
[Service]
ExecStartPre=/bin/stty -F /dev/tty1 raw -echo
# By a pipe, so that it does not take itself for one that is to prompt.
ExecStart=/bin/sh -c '/bin/sh </dev/tty1 2>&1 | cat >/dev/tty1'
Restart=always
RestartSec=1
KillMode=process
"""


def prepare(image: Path, directory: Path) -> Path:
    """The image as a disk for such machines: with the kernel's modules and a shell in it."""
    disk = directory / "uml.raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", image, disk], check=True)
    with root_of(disk, directory / "root") as root:
        version = subprocess.run(["linux.uml", "--version"], check=True, capture_output=True, text=True).stdout.strip()
        modules = uml_modules.PLACE / version
        shutil.copytree(modules, root / "usr/lib/modules" / modules.name, symlinks=True)
        subprocess.run(["depmod", "-b", root / "usr", modules.name], check=True)
        units = root / "etc/systemd/system"
        (units / "test-shell.service").write_text(_SHELL)
        # The kernel has none for IP; whoever asks for rules is told that they are in force. What they do is the business of `guests`.
        (root / "usr/sbin/nft").unlink()
        (root / "usr/sbin/nft").write_text("#!/bin/sh\n")
        (root / "usr/sbin/nft").chmod(0o755)
        (units / "sysinit.target.wants/test-shell.service").symlink_to("../test-shell.service")
    return disk


class UmlGuest(Machine):
    """A machine whose disk is a copy of `disk`. Its management network is the bridge `management` in the namespace `cloud`."""

    def __init__(
        self,
        directory: Path,
        disk: Path,
        trust: Trust,
        name: str,
        *,
        cloud: Namespace,
        address: str,
        topology: str = "SINGLE",
        keys: Sequence[str] = (),
    ) -> None:
        super().__init__(directory, trust, name, topology=topology, controllers="", address=address, keys=keys)
        self._cloud, self._address, self._disk = cloud, address, directory / "disk.raw"
        # Not a layer above it: this kernel writes down apart from a block that the layer has it, and when it is killed between the two, the block is
        # what it was long before. No disk does that.
        subprocess.run(["cp", "--sparse=always", disk, self._disk], check=True)
        self._kernel: subprocess.Popen[bytes] | None = None
        self._shell_end: socket.socket | None = None
        self._nics: list[uml.Nic] = []
        self._add("management", self.mac)

    def _add(self, bridge: str, mac: str) -> uml.Nic:
        nic = uml.Nic(len(self._nics), "tap", f"{self.name[:8]}-{len(self._nics)}", mac)
        self._cloud.ip(f"tuntap add {nic.interface} mode tap")
        self._cloud.ip(f"link set {nic.interface} master {bridge}")
        self._cloud.ip(f"link set {nic.interface} up")
        self._nics.append(nic)
        return nic

    def power_on(self) -> None:
        """See `Machine.power_on`."""
        ours, its = socket.socketpair()
        os.set_inheritable(its.fileno(), True)
        nics = [nic.setting for nic in self._nics]
        command = [
            *(uml.PROGRAM, "mem=384M", "umid=machine", f"uml_dir={self.directory}/", f"ubd0={self._disk}"),
            *(f"ubd1r={self.drive}", "root=/dev/ubda2", "rw", "quiet", "net.ifnames=0", *nics),
            *("con=null", "con0=null,fd:1", f"con1=fd:{its.fileno()}"),
        ]
        environment = uml.environment(self.directory)
        with (self.directory / "console.log").open("ab") as log, self._cloud.entered():
            self._kernel = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=(its.fileno(),), start_new_session=True
            )
        its.close()
        self._shell_end = ours

    def cut_power(self) -> None:
        """See `Machine.cut_power`."""
        self.forget_shell()
        if self._shell_end is not None:
            self._shell_end.close()
            self._shell_end = None
        if self._kernel is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._kernel.pid, signal.SIGKILL)
            self._kernel.wait()
            self._kernel = None
        shutil.rmtree(self.directory / "machine", ignore_errors=True)

    def wait_for_its_end(self) -> None:
        """See `Machine.wait_for_its_end`."""
        assert self._kernel is not None
        self._kernel.wait(600)

    def runs(self) -> bool:
        """See `Machine.runs`."""
        return self._kernel is not None and self._kernel.poll() is None

    def connect_shell(self) -> socket.socket:
        """See `Machine.connect_shell`."""
        assert self._shell_end is not None
        return self._shell_end.dup()

    @contextmanager
    def reached(self) -> Iterator[tuple[str, int]]:
        """See `Machine.reached`."""
        with self._cloud.entered():
            yield self._address, PORT

    def plug(self, cloud: Namespace, bridge: str, mac: str) -> None:
        """See `Machine.plug`."""
        assert cloud is self._cloud
        with self._cloud.entered():
            uml.ask(self.directory / "machine" / "mconsole", f"config {self._add(bridge, mac).setting}")
