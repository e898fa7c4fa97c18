"""Changes that are on trial, in the 2.0 contract."""

from __future__ import annotations

import flask

from agent.collaborators import Agent
from agent.identifiers import object_id
from agent.routes.graphs import as_json


def blueprint(agent: Agent) -> flask.Blueprint:
    """The routes below /2.0/loadbalancers."""
    routes = flask.Blueprint("trials", __name__)

    @routes.post("/<lb>/confirm")
    def confirm(lb: str) -> flask.Response:
        trial = agent.graphs.confirm(object_id(lb, "load balancer"), flask.request.headers.get("If-Match"))
        return as_json(trial, trial.etag)

    return routes
