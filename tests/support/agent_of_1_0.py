"""An agent that has never heard of the 2.0 contract: Hydria's, run as `hydria-agent` is, without those routes. Octavia's answers so, too."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NoReturn

import click

from agent.assembly import Assembly
from agent.clock import SystemClock
from agent.instance import only_one
from agent.main import command, main
from agent.options import Options
from agent.server import Server
from agent.settings import Endpoint, LiveSettings

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment


class Older(Server):
    """Answers by the 1.0 contract alone."""

    def load(self) -> Any:
        app = super().load()

        def older(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
            if not environ["PATH_INFO"].startswith("/2.0/"):
                answer: Iterable[bytes] = app(environ, start)
                return answer
            body = json.dumps({"error": "Not Found", "http_code": 404}).encode()
            start("404 NOT FOUND", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
            return [body]

        return older


@command.command("serve")
@click.pass_obj
def serve(options: Options) -> NoReturn:
    """In the place of the verb of this name."""
    settings = LiveSettings(options.octavia_conf).current
    options.run_dir.mkdir(0o755, parents=True, exist_ok=True)
    with only_one(options.run_dir, SystemClock()):
        Older(lambda: Assembly(options).take_over(), Endpoint(settings.bind_host, settings.bind_port)).run()


if __name__ == "__main__":
    main()
