"""A machine of a lab that has a kernel of its own: user-mode Linux on a machine that has none, whose cables are tied to interfaces of that kernel.

Its files are this machine's (hostfs). The first program there (`hydria.lab.uml_guest`) is asked by a file, told of it as a keyboard tells of
Ctrl-Alt-Delete, and answers by another one.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import sys
import time
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from agent.errors import SystemFault
from agent.files import create_file
from agent.processes import ENVIRONMENT
from hydria.lab import amphora as amphorae
from hydria.lab import bridges, namespaces, uml
from hydria.lab.calls import CallError
from hydria.lab.pid_one import HYPERVISOR
from hydria.lab.uml_guest import ANSWERED, ASKED, Boot

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hydria.lab.lab import Lab
    from hydria.lab.machine import Cable

#: The directory on a machine's disk that is the kernel's, and what is in it.
KERNEL = "kernel"
_BOOT, _NICS, _CONSOLE = "boot.json", "nics.json", "console.log"
#: Where the kernel has its monitor, on the machine that it runs on.
_MONITORS, _MONITOR = "/run/uml", "machine"
_MEMORY = "384M"
#: What there has to be besides the kernel, and the Debian package that brings it: what stands in for nft there is made of it.
_IPTABLES, _PACKAGE = "iptables-legacy-restore", "iptables"
#: Seconds for an answer of the first program, between two looks.
_PATIENCE, _BETWEEN = 60.0, 0.02


def why_not() -> str | None:
    """The reason why there can be none on this machine; None where there can."""
    missing = None if shutil.which(_IPTABLES, path=ENVIRONMENT["PATH"]) else f"{_IPTABLES} is not installed (Debian: {_PACKAGE})"
    return uml.why_not() or missing


class UmlMachine:
    """The machine `name` of `lab`. See `hydria.lab.machine.Machine`."""

    def __init__(self, lab: Lab, name: str) -> None:
        self._lab, self._name, self._files = lab, name, lab.directory / name / KERNEL
        self._places: dict[str, str] = {}

    def switch_on(self, places: Mapping[str, str]) -> None:
        """See `Machine`. Raises SystemFault where there can be none."""
        if reason := why_not():
            raise SystemFault(reason)
        amphorae.switch_on(self._lab, self._name)
        self._places = dict(places)

    def start(self, cables: Sequence[Cable], command: list[str], log: Path) -> None:
        """See `Machine`. Returns when the kernel has been started; its programs take some seconds more."""
        self._files.mkdir(parents=True)
        boot = Boot(
            name=self._name,
            directory=str(self._lab.directory),
            files=str(self._files),
            places=self._places,
            addresses=[list(cable.addresses) for cable in cables],
            command=command,
            log=str(log),
        )
        create_file(self._files / _BOOT, msgspec.json.encode(boot), 0o600)
        (self._files / _NICS).write_text("[]")
        nics = [self._tied(cable).setting for cable in cables]
        kernel = [*uml.on_our_files(_MEMORY, sys.executable), f"uml_dir={_MONITORS}/", f"umid={_MONITOR}", *nics]
        self._lab.call(
            self._name,
            "run",
            command=[*kernel, "--", "-m", "hydria.lab.uml_guest", str(self._files / _BOOT)],
            log=str(self._files / _CONSOLE),
            environment=uml.environment(self._files),
            # A machine without its kernel is off.
            essential=True,
        )

    def plug(self, cable: Cable) -> None:
        """See `Machine`."""
        self._ask_monitor(f"config {self._tied(cable).setting}")

    def unplug(self, mac: str) -> None:
        """See `Machine`."""
        with self._nics() as known:
            if mac not in known:
                return
            number = known.index(mac)
            known[number] = None
        self.call("release", mac=mac)
        self._ask_monitor(f"remove {uml.name(number)}")

    def call(self, do: str, /, **words: Any) -> dict[str, Any]:
        """Has the first program there do something."""
        identity = uuid.uuid4().hex
        asked, answered = (self._files / f"{each}{identity}.json" for each in (ASKED, ANSWERED))
        create_file(asked, json.dumps({"do": do, **words}).encode(), 0o600)
        try:
            self._ask_monitor("cad")
        except (SystemFault, OSError) as error:
            raise CallError(f"{self._name} does not answer: {error}") from error
        until = time.monotonic() + _PATIENCE
        while not answered.exists():
            if time.monotonic() > until or not self._lab.runs(self._name):
                raise CallError(f"{self._name} does not answer")
            time.sleep(_BETWEEN)
        answer: dict[str, Any] = json.loads(answered.read_text())
        for each in (asked, answered):
            each.unlink()
        if "error" in answer:
            raise CallError(f"{self._name}: {answer['error']}")
        return answer

    def _tied(self, cable: Cable) -> uml.Nic:
        """A cable's end as an interface of the kernel's, to be. Its number is nobody else's, also when it is gone."""
        with self._nics() as known:
            number = len(known)
            known.append(cable.mac)
        bridges.lend(self._lab.network(HYPERVISOR), cable.port, self._network, cable.interface)
        return uml.Nic(number, "raw", cable.interface, cable.mac)

    @contextmanager
    def _nics(self) -> Iterator[list[str | None]]:
        """The hardware addresses of all interfaces that there have been; None for those that are gone."""
        with (self._files / _NICS).open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            known = json.load(file)
            yield known
            file.seek(0)
            file.truncate()
            json.dump(known, file)

    def _ask_monitor(self, command: str) -> None:
        place = Path(f"/proc/{self._lab.first_process(self._name)}/root{_MONITORS}", _MONITOR, "mconsole")
        with namespaces.inside(self._network):
            uml.ask(place, command)

    @property
    def _network(self) -> Path:
        return namespaces.of_machine(self._lab.first_process(self._name))
