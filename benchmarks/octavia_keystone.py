"""Run by the Python of `.venv/tempest`: Keystone on sockets that whoever starts it has made (their descriptors are the arguments), configured by what OS_KEYSTONE_CONFIG_FILES names."""

from __future__ import annotations

import socket
import sys
import threading
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Handler(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass

    def address_string(self) -> str:
        return str(self.client_address[0])


def main() -> None:
    sockets = [socket.socket(fileno=int(each)) for each in sys.argv[1:]]
    sys.argv = ["keystone"]  # which it reads, too
    from keystone.server.wsgi import initialize_public_application  # noqa: PLC0415 - it reads them when it is imported

    keystone, alone = initialize_public_application(), threading.Lock()

    def application(environ: Any, start_response: Any) -> list[bytes]:
        with alone:  # SQLite refuses the second one who writes
            return list(keystone(environ, start_response))

    for listening in sockets:
        server = Server(listening.getsockname(), Handler, bind_and_activate=False)
        server.socket.close()
        server.socket = listening
        server.server_name, server.server_port = listening.getsockname()
        server.setup_environ()
        server.set_app(application)
        threading.Thread(target=server.serve_forever).start()


main()
