"""`CheckScripts`: the scripts that Octavia's configurations have HAProxy and keepalived call."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import agent.probe
from agent import program_names
from agent.configuration import directory
from agent.files import replace_file
from agent.texts import Text, render, shell

if TYPE_CHECKING:
    from agent.paths import Paths
    from agent.services.programs import Services

#: Interpreters to choose from: HAProxy, as nobody, may not be able to see what the agent runs with, as below /root.
_PYTHONS = (str(Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")), "/usr/bin/python3")
#: Everybody may run them: HAProxy does it as nobody, keepalived as `keepalived_script` where there is such a user.
_MODE = 0o755
#: Seconds to wait for the word that a UDP port is closed; shorter than the shortest `misc_timeout`.
_UDP_SECONDS = "0.5"
_PING = "called by HAProxy with its own address and port, and a server's; exits 0 when that answers an echo request"
_UDP = "udp_check.sh ADDRESS PORT exits 0 unless the address says that nobody is at the port"


class CheckScripts:
    """Writes them. All raises OSError."""

    def __init__(self, paths: Paths, services: Services) -> None:
        self._paths = paths
        self._services = services
        self._lock = threading.Lock()

    def install(self) -> None:
        """Has all of them be there."""
        probe, pythons = shell(str(self._paths.probe)), [shell(python) for python in _PYTHONS]
        with self._lock:
            _put(self._paths.probe, Path(agent.probe.__file__).read_bytes())
            _put(
                self._paths.ping_script,
                render("scripts/probe.sh.j2", purpose=Text(_PING), pythons=pythons, probe=probe, arguments=Text('"$@"')),
            )
            arguments = Text(f'udp "$1" "$2" {_UDP_SECONDS}')
            _put(
                self._paths.udp_check_script,
                render("scripts/probe.sh.j2", purpose=Text(_UDP), pythons=pythons, probe=probe, arguments=arguments),
            )
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
