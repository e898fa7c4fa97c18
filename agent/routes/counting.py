"""Every request is counted: what was asked, by the pattern of its route, and what came of it."""

from __future__ import annotations

import time

import flask

from agent.collaborators import Agent
from agent.metrics.tally import Change, Request
from agent.routes.actions import ACTIONS

#: Methods that HTTP's clients have; whatever else is written there counts as one.
_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})


def count(app: flask.Flask, agent: Agent) -> None:
    """Makes `app` count in the agent's tally."""

    @app.before_request
    def begin() -> None:
        flask.g.counted_from = time.monotonic()

    @app.after_request
    def end(answer: flask.Response) -> flask.Response:
        request = flask.request
        method = request.method if request.method in _METHODS else "other"
        route = request.url_rule.rule if request.url_rule is not None else "other"
        agent.tally.request(Request(method, route, answer.status_code))
        if request.endpoint is not None and method not in ("GET", "HEAD", "OPTIONS"):
            outcome = flask.g.get("outcome", "done")
            agent.tally.change(Change(_change(request.endpoint), outcome), time.monotonic() - flask.g.counted_from)
        return answer


def _change(endpoint: str) -> str:
    """What is to be done: the route's name, and the action where it has one, of which there are few."""
    action = (flask.request.view_args or {}).get("action")
    return f"{endpoint.removesuffix('.act')}.{action}" if action in ACTIONS else endpoint
