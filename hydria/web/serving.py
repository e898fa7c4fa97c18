"""The page on a socket of this machine, for as long as a context lasts."""

from __future__ import annotations

import ipaddress
import os
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from werkzeug.serving import WSGIRequestHandler, make_server

from agent.errors import AgentError, SystemFault
from agent.settings import Endpoint
from hydria.web.app import make_app
from hydria.web.watching import Watcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from agent.clock import Clock
    from hydria.web.watching import Fleet


class Page(NamedTuple):
    """Where the page is, and whether somebody may be other than on this machine."""

    url: str
    loopback: bool


class _Handler(WSGIRequestHandler):
    """Tells nobody what it is made of, and fills no terminal. Who begins a request has a while to end it."""

    timeout = 30

    def version_string(self) -> str:
        return "hydria"

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - its name where it comes from
        """Requests are nobody's business."""


@contextmanager
def serving(
    fleet: Fleet,
    place: tuple[str, int],
    interval: float,
    clock: Clock,
    *,
    names: Iterable[str] = (),
    ended: Callable[[], None] = lambda: None,
) -> Iterator[Page]:
    """Looks and serves meanwhile. `place`: an address and a port, 0 for any; `names`: by which it is reached besides; `ended`: is called when there
    is nothing to look at any more. Raises SystemFault where the place cannot be had.
    """
    address = ipaddress.ip_address(place[0])
    try:
        listening = socket.create_server((str(address), place[1]), family=socket.AF_INET6 if address.version == 6 else socket.AF_INET)
    except OSError as error:
        raise SystemFault(
            f"{Endpoint(str(address), place[1])} cannot be had: {os.strerror(error.errno) if error.errno else error}"
        ) from error
    with listening:
        port: int = listening.getsockname()[1]
        here = str(Endpoint(str(address), port))
        watcher = Watcher(fleet, clock, interval)
        app = make_app(watcher.picture, time.time, hosts(here, port, ["localhost", *names] if address.is_loopback else names), interval)
        server = make_server(str(address), port, app, threaded=True, request_handler=_Handler, fd=listening.fileno())
    stop = threading.Event()
    threads = [threading.Thread(target=server.serve_forever), threading.Thread(target=_look, args=(watcher, stop, interval, ended))]
    for thread in threads:
        thread.start()
    try:
        yield Page(f"http://{here}/", address.is_loopback)
    finally:
        stop.set()
        server.shutdown()
        server.server_close()
        for thread in threads:
            thread.join()


def hosts(here: str, port: int, names: Iterable[str]) -> set[str]:
    """What a browser's header Host may be where it is meant to be here: port 80 is not said."""
    found = {here, *(f"{name}:{port}" for name in names)}
    return found | {host.removesuffix(":80") for host in found} if port == 80 else found


def _look(watcher: Watcher, stop: threading.Event, interval: float, ended: Callable[[], None]) -> None:
    while not stop.is_set():
        began = time.monotonic()
        try:
            watcher.look()
        except (AgentError, OSError):
            ended()
            return
        stop.wait(max(0.1, interval - (time.monotonic() - began)))
