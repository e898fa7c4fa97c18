"""gunicorn with the agent in it: the listening socket, one worker with threads, mutual TLS (`agent.worker`), all in one process.

gunicorn's main process would look after the worker and do nothing else, with half as much memory again. Who starts the agent looks after it
as well: systemd starts it again when it ends (`Restart=`) or says nothing any more (`WatchdogSec=`).
"""

from __future__ import annotations

import gc
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

import structlog
from gunicorn.app.base import BaseApplication

from agent.errors import AgentError, SystemFault
from agent.logs import ServerLog
from agent.proof import Forger
from agent.settings import Endpoint
from agent.worker import CANNOT_START, Worker

if TYPE_CHECKING:
    from agent.collaborators import Agent

_log = structlog.get_logger(__name__)

_BACKLOG = 128

#: Seconds that requests in progress get when the agent is stopped: HAProxy's check of a large configuration takes some.
_GRACE = 30


class Server(BaseApplication):
    """Serves the agent that `make` makes at `address`.

    Listens from now on; what comes waits until it is served. Raises SystemFault.

    Nothing is given by the environment or on a command line: what may be configured is in the settings.
    """

    agent: Agent

    def __init__(self, make: Callable[[], Agent], address: Endpoint) -> None:
        self.forger = Forger()
        self._address = address
        self._listener = listen(address)
        self._make = make
        self._systemd = os.environ.pop("NOTIFY_SOCKET", None)
        self._watched = os.environ.pop("WATCHDOG_USEC", None) is not None
        super().__init__()

    def load_config(self) -> None:
        """Gunicorn's own settings."""
        given = {
            "graceful_timeout": _GRACE,
            "logger_class": ServerLog,
            "proc_name": "hydria-agent",
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
        """The application, and what it needs."""
        # What modules are made of stays: nobody need look through it for garbage, now or later.
        gc.disable()
        # While the forger works.
        from agent.app import make_app  # noqa: PLC0415

        try:
            self.agent = self._make()
        except (AgentError, OSError) as error:
            _log.critical("the agent cannot start", reason=str(error))
            raise SystemExit(CANNOT_START) from error
        app = make_app(self.agent)
        gc.freeze()
        gc.enable()
        return app

    def serving(self) -> None:
        """Tells the log and systemd that requests are answered now."""
        _log.info("serving", address=str(self._address))
        self._tell(b"READY=1")

    def alive(self) -> None:
        """Tells systemd, where it wants to know, that the agent does not hang; once a second is enough."""
        if self._watched:
            self._tell(b"WATCHDOG=1")

    def _tell(self, word: bytes) -> None:
        """Where systemd asked for it (sd_notify(3))."""
        if self._systemd is not None:
            with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
                systemd.settimeout(1)
                systemd.sendto(word, self._systemd.replace("@", "\0", 1))

    def run(self) -> NoReturn:
        """Serves until a signal ends it: SIGTERM and SIGHUP let requests in progress finish, SIGINT and SIGQUIT do not.

        Exits with 0, or 3 where the agent cannot start.
        """
        Worker(self, self._listener).init_process()
        raise SystemExit(0)


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
