"""Programs where systemd is in charge: `SystemdServices` writes a unit for each, enables and starts it. systemd does all the rest."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from agent.errors import SystemFault
from agent.files import remove_file, replace_file
from agent.processes import LocalRunner, Runner
from agent.services.records import Identity, identify
from agent.texts import Text, render, systemd, systemd_line

if TYPE_CHECKING:
    from pathlib import Path

    from agent.services.programs import Program

#: How a unit of ours begins.
_MARK = b"# Made by Hydria."
#: Seconds that systemctl may take, besides what a program needs to end.
_PATIENCE = 30.0
#: systemctl has systemd read all units again after either, which takes as long as starting a program; what is to be read again is told here.
_ENABLE, _DISABLE = ("enable", "--quiet", "--no-reload"), ("disable", "--quiet", "--no-reload")
#: What programs may do of what root may: see docs/privileges.md.
CAPABILITIES = (
    "CAP_DAC_OVERRIDE",
    "CAP_KILL",
    "CAP_NET_ADMIN",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SYS_ADMIN",
    "CAP_SYS_MODULE",
    "CAP_SYS_RESOURCE",
)
#: Lines of the journal that are read.
_LINES = 200


class SystemdServices:
    """Keeps programs running as units in the directory `units`, which systemd must look into."""

    def __init__(self, units: Path, runner: Runner | None = None) -> None:
        self._units = units
        self._runner = runner or LocalRunner()
        # Whoever waits for a program asks many times a second; systemd is asked again when the process is no longer there.
        self._seen: dict[str, Identity] = {}

    def start(self, program: Program, /) -> None:
        """See `Services.start`. One that runs in another way than it shall now is stopped before."""
        unit = self._unit(program.name)
        text = unit_text(program)
        known = unit.read_bytes() if unit.exists() else None
        if known != text:
            # Before its unit is another one: what runs is always what the unit says, whenever the agent is killed.
            self._end(unit)
            replace_file(unit, text, 0o644)
            self._systemctl("daemon-reload")
        self._systemctl(*_ENABLE, unit.name)
        # One that waits to be started again, or has failed, starts now.
        self._systemctl("start", unit.name, seconds=program.patience)

    def restart(self, program: Program, /) -> None:
        """See `Services.restart`."""
        self._end(self._unit(program.name))
        self.start(program)

    def stop(self, name: str, /) -> None:
        """See `Services.stop`."""
        unit = self._unit(name)
        if not unit.exists():
            return
        self._systemctl(*_DISABLE, unit.name)
        self._end(unit)
        remove_file(unit)
        self._systemctl("daemon-reload")

    def pid(self, name: str, /) -> int | None:
        """See `Services.pid`."""
        seen = self._seen.get(name)
        if seen is None or not seen.alive():
            pid = self._number(name, "MainPID")
            seen = identify(pid) if pid else None
            if seen is None:
                return None
            self._seen[name] = seen
        return seen.pid

    def restarts(self, name: str, /) -> int:
        """See `Services.restarts`."""
        return self._number(name, "NRestarts")

    def programs(self) -> tuple[str, ...]:
        """See `Services.programs`."""
        return tuple(sorted(unit.stem for unit in self._units.glob("*.service") if unit.is_file() and _is_ours(unit)))

    def position(self, name: str, /) -> str:
        """See `Services.position`: a cursor of the journal."""
        done = self._runner.run(["journalctl", "-u", f"{name}.service", "-n", "1", "-o", "cat", "--show-cursor"], timeout=_PATIENCE)
        return done.output.rpartition("-- cursor: ")[2].strip() if done.code == 0 else ""

    def words(self, name: str, since: str = "", /) -> str:
        """See `Services.words`; what systemd says about the unit is among it."""
        after = [f"--after-cursor={since}"] if since else []
        arguments = ["journalctl", "--quiet", "-u", f"{name}.service", "-n", str(_LINES), "-o", "cat", *after]
        return self._runner.run(arguments, timeout=_PATIENCE).output

    def restore(self) -> list[str]:
        """See `Services.restore`. What is enabled, systemd has started by itself; what a person stopped is started too."""
        self._systemctl("daemon-reload")
        for name in self.programs():
            self._systemctl(*_ENABLE, f"{name}.service")
            self._systemctl("start", "--no-block", f"{name}.service")
        return []

    def _end(self, unit: Path) -> None:
        if unit.exists():
            # As long as the unit's own TimeoutStopSec lets it take; the runner's limit is only there to come to an end at all.
            self._systemctl("stop", unit.name, seconds=600)

    def _systemctl(self, *arguments: str, seconds: float = 0) -> None:
        done = self._runner.run(["systemctl", *arguments], timeout=_PATIENCE + seconds)
        if done.code != 0:
            raise SystemFault(f"systemctl {' '.join(arguments)} failed: {done.output.strip()}")

    def _number(self, name: str, what: str) -> int:
        done = self._runner.run(["systemctl", "show", "--property", what, "--value", f"{name}.service"], timeout=_PATIENCE)
        return int(done.output) if done.code == 0 and done.output.strip().isdecimal() else 0

    def _unit(self, name: str) -> Path:
        return self._units / f"{name}.service"


def unit_text(program: Program) -> bytes:
    """The unit that runs a program."""
    return render(
        "systemd/program.service.j2",
        description=systemd_line(program.description),
        namespace=None if program.namespace is None else systemd_line(program.namespace),
        arguments=[systemd(argument) for argument in program.arguments],
        reload_signal=None if program.reload_signal is None else Text(program.reload_signal),
        patience=math.ceil(program.patience),
        files=program.files,
        capabilities=[Text(capability) for capability in CAPABILITIES],
    )


def _is_ours(unit: Path) -> bool:
    with unit.open("rb") as file:
        return file.read(len(_MARK)) == _MARK
