"""A server that stands where an agent would: real mutual TLS, answers that a test writes, and a memory of what it was asked."""

from __future__ import annotations

import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from hydria.cli import _run
from hydria.cli.output import Output

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

AMPHORA = "5d2f0d3e-6c1b-4a55-8d5e-0b6b7e1b6a10"
OTHER = "9f0e3a52-31f0-4c0c-9f55-3d1b1b7a3a01"


class Pki:
    """Certificates of both sides, made by the command."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._run("init", directory)
        self._run("agent", directory, AMPHORA)
        self._run("agent", directory, OTHER)
        self._run("controller", directory)

    @property
    def ca(self) -> Path:
        """What a controller trusts."""
        return self.directory / "controllers" / "controller" / "server_ca.pem"

    @property
    def client(self) -> Path:
        """What a controller shows."""
        return self.directory / "controllers" / "controller" / "client.pem"

    def agent(self, amphora: str = AMPHORA) -> Path:
        """The directory with an agent's server.pem and client_ca.pem."""
        return self.directory / "agents" / amphora

    def server_context(self, amphora: str = AMPHORA, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
        """What an agent has: its certificate, and a client's is asked for."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = context.maximum_version = version
        context.verify_mode = ssl.CERT_REQUIRED
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        context.load_cert_chain(self.agent(amphora) / "server.pem")
        context.load_verify_locations(self.agent(amphora) / "client_ca.pem")
        return context

    @staticmethod
    def _run(*arguments: str | Path) -> None:
        assert _run(["certs", *map(str, arguments)], Output()) == 0


class Request(NamedTuple):
    """What was asked. Names of headers in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    content: bytes


class Reply(NamedTuple):
    """What is answered."""

    status: int = 200
    content: bytes = b'{"message": "OK"}'
    headers: dict[str, str] = {"Content-Type": "application/json"}  # noqa: RUF012 - never changed


class ScriptedAgent:
    """Listens from the start until the context ends. `reply` may be set at any time."""

    def __init__(self, context: ssl.SSLContext, address: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        self.reply: Callable[[Request], Reply] = lambda _: Reply()
        self.requests: list[Request] = []
        agent = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 20

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except (OSError, ValueError):  # the other side has gone, or never was a client
                    self.close_connection = True

            def answer(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                content = self.rfile.read(int(headers.get("content-length", "0")))
                request = Request(self.command, self.path, headers, content)
                agent.requests.append(request)
                reply = agent.reply(request)
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.content)))
                self.end_headers()
                self.wfile.write(reply.content)

            do_GET = do_PUT = do_POST = do_DELETE = answer  # noqa: N815 - as http.server calls them

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET

            def finish_request(self, request: Any, client_address: Any) -> None:
                # In the connection's own thread, so that a slow handshake holds up nobody else.
                request.settimeout(20)
                try:
                    secure = context.wrap_socket(request, server_side=True)
                except OSError:
                    return
                with secure:
                    super().finish_request(secure, client_address)

        self._server = Server(address, Handler)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
