"""The 2.0 contract: a load balancer is what one graph says. Any status of HTTP may be answered here; ETags are quoted (RFC 9110 8.8.3)."""

from __future__ import annotations

import math
from typing import Any

import flask
import msgspec

from agent.collaborators import Agent
from agent.errors import InvalidRequest
from agent.identifiers import object_id
from agent.routes.bodies import CONFIGURATION, body

#: Seconds for which somebody may wait for news.
_LONGEST_WAIT = 60.0


def blueprint(agent: Agent) -> flask.Blueprint:
    """The routes below /2.0/loadbalancers."""
    routes = flask.Blueprint("graphs", __name__)

    @routes.get("")
    def loadbalancers() -> flask.Response:
        return as_json(agent.graphs.loadbalancers())

    @routes.put("/<lb>")
    def put(lb: str) -> flask.Response:
        return _put(agent, _lb(lb))

    @routes.get("/<lb>")
    def graph(lb: str) -> flask.Response:
        text, etag = agent.graphs.graph(_lb(lb))
        answer = flask.Response(text, content_type="application/json")
        answer.headers["ETag"] = etag
        return answer

    @routes.delete("/<lb>")
    def delete(lb: str) -> flask.Response:
        agent.graphs.delete(_lb(lb), flask.request.headers.get("If-Match"))
        return flask.Response(status=204)

    @routes.get("/<lb>/files")
    def files(lb: str) -> flask.Response:
        return as_json(agent.graphs.files(_lb(lb), _generation()))

    @routes.get("/<lb>/generations")
    def history(lb: str) -> flask.Response:
        return as_json(agent.graphs.history(_lb(lb)))

    @routes.post("/<lb>/rollback")
    def rollback(lb: str) -> flask.Response:
        outcome = agent.graphs.rollback(_lb(lb), _generation(), flask.request.headers.get("If-Match"))
        return as_json(outcome, outcome.etag)

    @routes.get("/<lb>/status")
    def status(lb: str) -> flask.Response:
        found = agent.graphs.status(_lb(lb))
        return as_json(found, found.etag)

    @routes.get("/<lb>/progress")
    def progress(lb: str) -> flask.Response:
        wait = min(number("wait", 0.0), _LONGEST_WAIT)
        return as_json(agent.graphs.progress(_lb(lb), int(number("after", 0.0)), wait))

    return routes


def _put(agent: Agent, lb: str) -> flask.Response:
    content = body(CONFIGURATION)
    if flask.request.args.get("dry_run", "0") not in ("0", "false"):
        return as_json(agent.graphs.plan(lb, content))
    within = number("confirm_within", 0.0) if "confirm_within" in flask.request.args else None
    outcome = agent.graphs.put(lb, content, flask.request.headers.get("If-Match"), within)
    return as_json(outcome, outcome.etag)


def _lb(text: str) -> str:
    return object_id(text, "load balancer")


def as_json(told: Any, etag: str = "") -> flask.Response:
    """An answer."""
    answer = flask.Response(msgspec.json.encode(told), content_type="application/json")
    if etag:
        answer.headers["ETag"] = etag
    return answer


def _generation() -> int | None:
    return int(number("generation", 0.0)) if "generation" in flask.request.args else None


def number(name: str, otherwise: float) -> float:
    """A number in the query. Raises InvalidRequest where it is none, or negative."""
    text = flask.request.args.get(name)
    try:
        found = otherwise if text is None else float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found < math.inf:
        raise InvalidRequest(f"{name}: {(text or '')[:100]!r} given; a number, not negative, is needed")
    return found
