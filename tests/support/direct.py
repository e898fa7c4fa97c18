"""The 2.0 contract without HTTP: an amphora's programs, and load balancers that are what graphs say, called as the routes call them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from agent.amphora_target import AmphoraTarget
from agent.beside import BundleBeside
from agent.check_scripts import CheckScripts
from agent.clock import SystemClock
from agent.errors import AgentError
from agent.graphs import Graphs
from agent.haproxies import Haproxies
from agent.keepalived import Keepalived
from agent.keepaliveds import Lvs, Vrrp
from agent.processes import LocalRunner
from agent.progress import ProgressBoard
from agent.services.supervised import SupervisedServices
from agent.settings import LiveSettings
from agent.trials import Trials

if TYPE_CHECKING:
    from pathlib import Path

    from agent.haproxy import Haproxy
    from agent.paths import Paths

AMPHORA = "2c1b3f36-5b0e-4d6c-9c0a-6a0c1b9d2f11"
#: Bytes of memory that the machine is to have.
_MEMORY = 1 << 30


def write_settings(place: Path, paths: Paths, haproxy: Path) -> Path:
    """An `amphora-agent.conf` in the directory `place`."""
    path = place / "amphora-agent.conf"
    path.write_text(
        "[haproxy_amphora]\n"
        f"base_path = {paths.base}\nbase_cert_dir = {paths.certificates}\nhaproxy_cmd = {haproxy}\n"
        f"[amphora_agent]\nagent_server_network_dir = {paths.interfaces}\namphora_id = {AMPHORA}\n"
    )
    return path


class Direct:
    """What one started agent has, less its network, its heartbeats and its HTTP. `restarted` is what the next one has."""

    def __init__(self, paths: Paths, namespace: str, haproxy: Haproxy, settings: Path) -> None:
        self.paths = paths
        self.namespace = namespace
        self.haproxy = haproxy
        self.settings = settings
        runner, clock = LocalRunner(), SystemClock()
        self.services = SupervisedServices(paths.programs_run, paths.programs_state, clock)
        scripts = CheckScripts(paths, self.services)
        keepalived = Keepalived.find()
        self.lvs = Lvs(paths, self.services, keepalived, scripts, namespace=namespace, clock=clock)
        self.vrrp = Vrrp(paths, self.services, keepalived, scripts, namespace=namespace, clock=clock)

        def beside(lb: str) -> BundleBeside:
            return BundleBeside(lb, paths, self.lvs, self.vrrp, keepalived, namespace=namespace, runner=runner)

        self.haproxies = Haproxies(paths, self.services, haproxy, scripts, namespace=namespace, runner=runner, clock=clock, beside=beside)
        self.graphs = Graphs(
            self.haproxies,
            AmphoraTarget(LiveSettings(settings), paths, keepalived, runner, lambda: _MEMORY),
            beside,
            ProgressBoard(),
            trials=Trials(self.haproxies, clock),
            holds=lambda _: True,
        )

    def restarted(self) -> Direct:
        """The agent goes, as it does when it is killed, and another one comes."""
        self.services.close()
        return Direct(self.paths, self.namespace, self.haproxy, self.settings)

    def restore(self) -> list[str]:
        """As `hydria-agent restore` does after a reboot; what did not go well."""
        problems: list[str] = []
        for restore in (self.services.restore, self.haproxies.restore, self.lvs.restore, self.vrrp.restore):
            try:
                problems += restore() or []
            except (AgentError, OSError) as error:
                problems.append(str(error))
        return problems


def body(loadbalancer: object, secrets: dict[str, str] | None = None) -> bytes:
    """That of a PUT."""
    return msgspec.json.encode({"loadbalancer": loadbalancer, "secrets": secrets or {}})
