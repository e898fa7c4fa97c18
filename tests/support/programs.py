"""An amphora's programs on this machine: their files in a directory, their network in a namespace, run without an init system."""

from __future__ import annotations

import os
import signal
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from agent.certificates import Certificates
from agent.check_scripts import CheckScripts
from agent.haproxies import Haproxies
from agent.haproxy import Haproxy
from agent.keepalived import Keepalived
from agent.keepaliveds import Lvs, Vrrp
from agent.paths import Paths
from agent.services.records import look, recorded, session_of
from agent.services.supervised import SupervisedServices
from support.namespaces import Namespace
from support.polling import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Where the test runs from; its console scripts are there.
AMPHORA = "2c1b3f36-5b0e-4d6c-9c0a-6a0c1b9d2f11"


class Programs:
    """What the agent has to do with programs, as one started agent has it. `restarted` is what the next one has."""

    def __init__(self, paths: Paths, namespace: Namespace, haproxy: Haproxy) -> None:
        self.paths = paths
        self.namespace = namespace
        self.haproxy = haproxy
        self.services = SupervisedServices(paths.programs_run, paths.programs_state)
        self.scripts = CheckScripts(paths, self.services)
        keepalived = Keepalived.find()
        #: Called with a load balancer and a word after each step of a change.
        self.steps: list[Callable[[str, str], None]] = []
        self.haproxies = Haproxies(paths, self.services, haproxy, self.scripts, namespace=namespace.name, step=self._step)
        self.vrrp = Vrrp(paths, self.services, keepalived, self.scripts, namespace=namespace.name)
        self.lvs = Lvs(paths, self.services, keepalived, self.scripts, namespace=namespace.name)
        self.certificates = Certificates(paths, self.haproxies.locks)

    def restarted(self) -> Programs:
        """The agent goes, as it does when it is killed, and another one comes."""
        self.services.close()
        return Programs(self.paths, self.namespace, self.haproxy)

    def _step(self, lb: str, word: str) -> None:
        for told in self.steps:
            told(lb, word)

    def restore(self) -> list[str]:
        """As the agent does when it starts."""
        self.services.restore()
        return [*self.haproxies.restore(), *self.vrrp.restore(), *self.lvs.restore()]


def kill_everything(paths: Paths) -> None:
    """All programs of an amphora are gone at once, as when its power goes; nothing of it is asked, and nothing told."""
    for record in paths.programs_run.glob("*.pid"):
        if identity := recorded(record):
            for one in session_of(identity):
                one.signal(signal.SIGKILL)
    for record in paths.programs_run.glob("*.pid"):
        if identity := recorded(record):
            if look(identity.pid):
                with suppress(ChildProcessError):
                    os.waitpid(identity.pid, 0)
            # The workers of an HAProxy are nobody's to wait for, and listen until they are gone.
            eventually(lambda identity=identity: not session_of(identity), "the end of all that was killed")  # type: ignore[misc]


@contextmanager
def amphora(haproxy: Haproxy) -> Iterator[Programs]:
    """One in a namespace of its own; whatever runs of it when the block ends is killed."""
    # Not pytest's: a UNIX socket's path must be short.
    with tempfile.TemporaryDirectory(prefix="hydria-") as directory, Namespace("amphora") as namespace:
        root = Path(directory)
        root.chmod(0o755)
        paths = Paths(root / "octavia", root / "octavia" / "certs", root / "interfaces", root / "run", root / "state")
        programs = Programs(paths, namespace, haproxy)
        try:
            yield programs
        finally:
            programs.services.close()
            kill_everything(paths)
