"""gunicorn with the agent in it: the listening socket, one worker process with threads, mutual TLS (`agent.worker`).

gunicorn's main process, which is this module's, does nothing but look after the worker: what only the worker needs is imported there. What is
imported before the fork would be in memory twice in the end, because a page does not stay shared in which objects are referred to.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker as BaseWorker

from agent.errors import AgentError, SystemFault
from agent.logs import ServerLog
from agent.proof import Forger
from agent.settings import Endpoint

if TYPE_CHECKING:
    from agent.collaborators import Agent

_log = logging.getLogger(__name__)

_BACKLOG = 128

#: Seconds that requests in progress get when the agent is stopped: HAProxy's check of a large configuration takes some.
_GRACE = 30

#: Seconds without a sign of life after which the worker is replaced. It gives one every second, whatever its threads do.
_HANG = 60


class Server(BaseApplication):
    """Serves the agent that `make` makes at `address`. It is made in the worker: a process that forks must not have threads.

    Listens from now on; what comes waits until it is served. Raises SystemFault.

    Nothing is given by the environment or on a command line: what may be configured is in the settings.
    """

    agent: Agent
    forger: Forger

    def __init__(self, make: Callable[[], Agent], address: Endpoint) -> None:
        self._address = address
        self._listener = listen(address)
        self._make = make
        # That the agent serves is told when it is true, not when gunicorn's main process is there.
        self._notify = os.environ.pop("NOTIFY_SOCKET", None)
        super().__init__()

    def load_config(self) -> None:
        """Gunicorn's own settings."""
        given = {
            "bind": f"fd://{self._listener.detach()}",
            "worker_class": _Worker,
            "workers": 1,
            "timeout": _HANG,
            "graceful_timeout": _GRACE,
            "logger_class": ServerLog,
            "proc_name": "hydria-agent",
            "control_socket_disable": True,
            # There is no proxy before it whose word would count.
            "forwarded_allow_ips": "",
            "forwarder_headers": "",
            # What is too long here is too long for any route; bodies have their bounds there.
            "limit_request_line": 4094,
            "limit_request_fields": 50,
            "limit_request_field_size": 4094,
        }
        for name, value in given.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Any:
        """The application, in the worker."""
        self.forger = Forger()
        from agent.app import make_app  # noqa: PLC0415 - see above

        try:
            self.agent = self._make()
        except (AgentError, OSError) as error:
            _log.critical("the agent cannot start", extra={"reason": str(error)})
            raise SystemExit(Arbiter.WORKER_BOOT_ERROR) from error
        return make_app(self.agent)

    def serving(self) -> None:
        """Tells the log, and systemd where it asked for it (sd_notify(3)), that requests are answered now."""
        _log.info("serving", extra={"address": str(self._address)})
        if self._notify is not None:
            with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
                systemd.sendto(b"READY=1", self._notify.replace("@", "\0", 1))

    def run(self) -> NoReturn:
        """Serves until a signal ends it: SIGTERM lets requests in progress finish, SIGINT and SIGQUIT do not, SIGHUP begins anew.

        Exits with 0, or 3 where the agent cannot start.
        """
        # What is there now stays in pages that the worker shares.
        gc.freeze()
        _Arbiter(self).run()
        raise SystemExit(0)


class _Worker(BaseWorker):
    """What gunicorn's main process knows of its worker; in its own process it becomes the real one."""

    def init_process(self) -> None:
        """Begins to work, and does so until the end."""
        from agent import log_lines  # noqa: PLC0415 - see above

        log_lines.configure()
        from agent.worker import Worker  # noqa: PLC0415 - see above

        self.__class__ = Worker  # type: ignore[assignment] # both are gunicorn's worker with other methods
        self.init_process()


class _Arbiter(Arbiter):
    """gunicorn's main process. There is one worker at any time, because it holds what runs."""

    def handle_hup(self) -> None:
        """Ends the worker as SIGTERM does; the next one is started when it is gone, and reads the settings."""
        self.kill_workers(signal.SIGTERM)

    def handle_ttin(self) -> None:
        """Nothing: there is one worker."""

    def handle_ttou(self) -> None:
        """Nothing: there is one worker."""

    def handle_usr2(self) -> None:
        """Nothing: a second agent would not get the lock of the first."""


def listen(address: Endpoint) -> socket.socket:
    """A listening TCP socket; `::` takes IPv4 too, whatever the system's default, or alone where there is no IPv6. Raises SystemFault."""
    host = address.address
    if host == "::" and not socket.has_dualstack_ipv6():
        host = "0.0.0.0"  # noqa: S104 - as asked for
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(host != "::"))
            listener.bind(place)
            listener.listen(_BACKLOG)
        except BaseException:
            listener.close()
            raise
    except OSError as error:
        raise SystemFault(f"{address} cannot be listened at: {error.strerror}") from error
    return listener
