"""A switch of a pair that is wanted, in the 2.0 contract."""

from __future__ import annotations

import flask

from agent.collaborators import Agent
from agent.identifiers import object_id
from agent.routes.graphs import as_json, number

#: Seconds that requests in progress have where nothing is said.
_WITHIN = 1.0


def blueprint(agent: Agent) -> flask.Blueprint:
    """The routes below /2.0/loadbalancers."""
    routes = flask.Blueprint("resigning", __name__)

    @routes.post("/<lb>/resign")
    def resign(lb: str) -> flask.Response:
        return as_json(agent.resigning.resign(object_id(lb, "load balancer"), number("within", _WITHIN)))

    return routes
