"""How the agent and what it carries fare, for those who watch: not of Octavia's contract."""

from __future__ import annotations

import flask
import msgspec

from agent.collaborators import Agent

#: Of what Prometheus reads.
_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def blueprint(agent: Agent) -> flask.Blueprint:
    """The routes, each with its whole path."""
    routes = flask.Blueprint("monitoring", __name__)

    @routes.get("/metrics")
    def metrics() -> flask.Response:
        return flask.Response(agent.metrics.text(), content_type=_TYPE)

    @routes.get("/2.0/statistics")
    def statistics() -> flask.Response:
        return flask.Response(msgspec.json.encode(agent.statistics.read()), content_type="application/json")

    return routes
