"""WSGI on a socket that somebody else has made: the API's is the host's, where the user is, and its process is in the lab."""

from __future__ import annotations

from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

if TYPE_CHECKING:
    import socket


class Server(ThreadingMixIn, WSGIServer):
    """Serves an application on `listening`, each request in a thread of its own."""

    daemon_threads = True

    def __init__(self, listening: socket.socket, application: Any) -> None:
        address = listening.getsockname()
        super().__init__(address, _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.server_name, self.server_port = address[:2]
        self.setup_environ()
        self.set_app(application)


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name where it comes from
        """Octavia logs its requests itself."""

    def address_string(self) -> str:
        """Names are asked of nobody."""
        return str(self.client_address[0])
