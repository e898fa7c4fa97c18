"""The HTTP application: the 1.0 contract that Octavia's controller speaks and Hydria's own 2.0, over the collaborators of `Agent`."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import flask
import structlog

from agent.collaborators import Agent
from agent.routes import amphora, certificates, drains, errors, graphs, interfaces, loadbalancers, lvs, monitoring, resigning, trials, vrrp
from agent.routes.counting import count

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

API_VERSION = "1.0"

_log = structlog.get_logger(__name__)


def make_app(agent: Agent) -> flask.Flask:
    """The application."""
    app = flask.Flask("agent", static_folder=None)
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.json.sort_keys = False  # type: ignore[attr-defined] # of Flask's own provider, which this is
    # A redirect is no error for a controller, and no answer either.
    app.url_map.merge_slashes = False
    app.wsgi_app = _SingleSlashes(app.wsgi_app)  # type: ignore[method-assign] # Flask's own way to add a layer
    errors.register(app)
    _log_requests(app)
    count(app, agent)

    @app.get("/")
    def discovery() -> dict[str, Any]:
        return {"api_version": API_VERSION}

    for part in (amphora, certificates, interfaces, loadbalancers, lvs, vrrp):
        app.register_blueprint(part.blueprint(agent), url_prefix=f"/{API_VERSION}")
    app.register_blueprint(monitoring.blueprint(agent))
    for part in (graphs, drains, trials, resigning):
        app.register_blueprint(part.blueprint(agent), url_prefix="/2.0/loadbalancers")
    return app


class _SingleSlashes:
    """Takes several slashes for one: Octavia's controller asks for `//` when it discovers the version."""

    def __init__(self, app: Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]) -> None:
        self._app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        while "//" in path:
            path = path.replace("//", "/")
        environ["PATH_INFO"] = path or "/"
        return self._app(environ, start_response)


def _log_requests(app: flask.Flask) -> None:
    """A line for each request: what was asked and what came of it, never what was in it."""

    @app.before_request
    def begin() -> None:
        flask.g.request_id = uuid.uuid4().hex[:12]
        flask.g.began = time.monotonic()
        structlog.contextvars.bind_contextvars(request_id=flask.g.request_id)

    @app.after_request
    def end(answer: flask.Response) -> flask.Response:
        _log.info(
            "request",
            method=flask.request.method,
            path=quote(flask.request.path),
            client=flask.request.remote_addr,
            status=answer.status_code,
            seconds=round(time.monotonic() - flask.g.began, 3),
        )
        return answer

    @app.teardown_request
    def forget(_: BaseException | None) -> None:
        structlog.contextvars.unbind_contextvars("request_id")
