"""`CheckScripts`: the scripts that Octavia's configurations have HAProxy and keepalived call."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from agent import program_names
from agent.configuration import directory
from agent.files import replace_file
from agent.texts import Text, render, shell

if TYPE_CHECKING:
    from agent.paths import Paths
    from agent.services.programs import Services

#: Everybody may run them: HAProxy does it as nobody, keepalived as `keepalived_script` where there is such a user.
_MODE = 0o755
#: Seconds to wait for the word that a UDP port is closed; shorter than the shortest `misc_timeout`.
_UDP_SECONDS = "0.5"


class CheckScripts:
    """Writes them. `probe` is the `hydria-probe` that they call. All raises OSError."""

    def __init__(self, paths: Paths, services: Services, probe: Path | None = None) -> None:
        self._paths = paths
        self._services = services
        self._probe = probe or Path(sys.executable).with_name("hydria-probe")
        self._lock = threading.Lock()

    def install(self) -> None:
        """Has all of them be there."""
        probe = shell(str(self._probe))
        with self._lock:
            _put(self._paths.ping_script, render("scripts/ping.sh.j2", probe=probe))
            _put(self._paths.udp_check_script, render("scripts/udp_check.sh.j2", probe=probe, seconds=Text(_UDP_SECONDS)))
        self.follow()

    def follow(self, *, without: str | None = None) -> None:
        """Has the VRRP check look at all that should run and balances; `without` the program that is about to be stopped."""
        with self._lock:
            names = [name for name in self._services.programs() if name != without]
            found = [program for name in names if (program := program_names.balancing(name, self._paths))]
            programs = [(shell(kind), shell(str(pid_file))) for kind, pid_file in found]
            _put(self._paths.vrrp_check_script, render("scripts/vrrp_check.sh.j2", programs=programs))


def _put(path: Path, text: bytes) -> None:
    if not path.exists() or path.read_bytes() != text:
        directory(path.parent)
        replace_file(path, text, _MODE)
