"""The agent of this machine, put together: the collaborators for one settings file, one namespace and one way of running programs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from agent import logs
from agent.amphora_target import AmphoraTarget
from agent.beside import BundleBeside
from agent.certificates import Certificates
from agent.check_scripts import CheckScripts
from agent.clock import SystemClock
from agent.collaborators import Agent
from agent.configuration import directory
from agent.drains import Drains
from agent.errors import AgentError
from agent.graphs import Graphs
from agent.haproxies import Haproxies
from agent.haproxy import Haproxy
from agent.heartbeat.heart import Heart
from agent.heartbeat.ipvs import Ipvs
from agent.heartbeat.lvs import LvsLook
from agent.identity import Identity
from agent.keepalived import Keepalived
from agent.keepaliveds import Lvs, Vrrp
from agent.machine import KEEPALIVED, Machine
from agent.metrics.additions import Additions
from agent.metrics.exporters import Exporters
from agent.metrics.following import Following
from agent.metrics.own import OwnMetrics, Sources
from agent.metrics.tally import Tally
from agent.network.holding import holds
from agent.network.network import Network
from agent.options import Options
from agent.paths import Paths
from agent.processes import LocalRunner
from agent.progress import ProgressBoard
from agent.resigning import Resigning
from agent.services.programs import Services
from agent.services.supervised import SupervisedServices
from agent.services.systemd import SystemdServices
from agent.settings import LiveSettings, Settings
from agent.statistics import AgentStatistics, read_lvs
from agent.trials import Trials
from agent.vrrp_health import VrrpHealth

_log = structlog.get_logger(__name__)


class Assembly:
    """Reads the settings and makes everything, which starts nothing and changes nothing but that directories are there.

    Raises InvalidRequest where the settings cannot be used; OSError.
    """

    def __init__(self, options: Options) -> None:
        self.settings = LiveSettings(options.octavia_conf)
        self.settings.followers.append(self._follow)
        self._started_with = settings = self.settings.current
        for place in (options.run_dir, options.state_dir):
            # Not secret: check scripts that run as nobody look there for process ids.
            directory(place)
        paths = Paths.of(settings, options.run_dir, options.state_dir)
        runner, clock, namespace = LocalRunner(), SystemClock(), options.namespace
        self._services: Services = (
            SystemdServices(options.units, runner)
            if options.services == "systemd"
            else SupervisedServices(paths.programs_run, paths.programs_state, clock)
        )
        haproxy = Haproxy(settings.haproxy_cmd, runner)
        keepalived = Keepalived(KEEPALIVED, runner)
        scripts = CheckScripts(paths, self._services)
        self.network = Network(namespace, paths, runner, clock)
        self._vrrp = Vrrp(paths, self._services, keepalived, scripts, namespace=namespace, clock=clock)
        self._lvs = Lvs(paths, self._services, keepalived, scripts, namespace=namespace, clock=clock)
        progress = ProgressBoard()

        def beside(lb: str) -> BundleBeside:
            return BundleBeside(lb, paths, self._lvs, self._vrrp, keepalived, namespace=namespace, runner=runner)

        self._haproxies = Haproxies(
            paths,
            self._services,
            haproxy,
            scripts,
            namespace=namespace,
            runner=runner,
            clock=clock,
            beside=beside,
            step=progress.step,
        )
        machine = Machine(runner, settings.haproxy_cmd)
        target = AmphoraTarget(self.settings, paths, keepalived, runner, lambda: int(machine.measurements()["memory"]["total"]) * 1024)
        self._drains = Drains(self._haproxies, clock, paths.drains)
        self._health = VrrpHealth(self._haproxies, paths, clock)
        self._haproxies.followers.append(self._drains.follow)
        lvs = LvsLook(Ipvs(namespace), self._running_lvs, paths.lvs_conf, time.time)
        self.heart = Heart(
            self.settings,
            paths,
            lambda: list(self._haproxies.loadbalancers()),
            lambda: paths.vrrp_conf.exists() and not self._vrrp.running(),
            clock,
            lvs=lvs,
        )
        exporters = Exporters(namespace, Additions(lambda: read_lvs(lvs)), clock)
        self._metrics = Following(paths, self._services, self._haproxies.loadbalancers, exporters)
        tally = Tally()
        sources = Sources(
            self.settings, paths, self._services, self._haproxies, heart=self.heart.status, lvs=lambda: read_lvs(lvs), tally=tally
        )
        self._graphs = Graphs(
            self._haproxies,
            target,
            beside,
            progress,
            trials=Trials(self._haproxies, clock),
            holds=lambda address: holds(namespace, address),
        )
        self.agent = Agent(
            settings=self.settings,
            machine=machine,
            identity=Identity(self.settings),
            network=self.network,
            haproxies=self._haproxies,
            lvs=self._lvs,
            vrrp=self._vrrp,
            certificates=Certificates(paths, self._haproxies.locks),
            metrics=OwnMetrics(sources),
            statistics=AgentStatistics(self._haproxies, lvs),
            graphs=self._graphs,
            drains=self._drains,
            resigning=Resigning(
                self._haproxies,
                self._health,
                paths,
                holds=lambda address: holds(namespace, address),
                namespace=namespace,
                runner=runner,
                clock=clock,
            ),
            tally=tally,
        )

    def take_over(self) -> Agent:
        """At the start of an agent: goes on where the last one was ended, however that was. Raises AgentError, OSError.

        What takes its time, as looking whether each HAProxy serves, goes on when this returns. Of the network, what the last one was ended
        in the middle of is finished; what cannot be done about it is told, and nobody else waits for that.
        """
        for problem in _tried(self.network.prepare):
            _log.error("the network is not as it should be", problem=problem)
        for problem in (*self._services.restore(), *self._drains.restore()):
            _log.error("not all is as it should be", problem=problem)
        self._haproxies.followers.append(self._metrics.follow)
        self._haproxies.ending.append(self.heart.last_look)
        self._health.start()
        self._graphs.watch_trials()
        threading.Thread(target=lambda: self._settle(self.network.restore), name="restore", daemon=True).start()
        self.heart.start()
        return self.agent

    def restore(self) -> list[str]:
        """After a reboot: the network as it was, then all programs that should run. What did not go well, in words; it does what it can."""
        return self._settle(self.network.restore, self._services.restore)

    def _running_lvs(self) -> list[str]:
        return [listener for listener in self._lvs.ids() if self._lvs.running(listener)]

    def _settle(self, *before: Callable[[], list[str] | None]) -> list[str]:
        """Has everything be as it should, `before` first; what did not go well, in words."""
        problems: list[str] = []
        for restore in (*before, self._haproxies.restore, self._lvs.restore, self._vrrp.restore):
            problems += _tried(restore)
        for problem in problems:
            _log.error("not as it was", problem=problem)
        return problems

    def _follow(self, settings: Settings) -> None:
        logs.set_level(debug=settings.debug)
        for name in ("bind_host", "bind_port", "base_path", "base_cert_dir", "haproxy_cmd", "agent_server_network_dir"):
            if getattr(settings, name) != getattr(self._started_with, name):
                _log.warning("setting is followed at the next start only", setting=name)


def _tried(act: Callable[[], list[str] | None]) -> list[str]:
    """Does something that may tell problems or fail; the problems."""
    try:
        return act() or []
    except (AgentError, OSError) as error:
        return [str(error)]
