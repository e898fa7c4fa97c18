"""Members that are drained, in the 2.0 contract."""

from __future__ import annotations

import flask

from agent.collaborators import Agent
from agent.identifiers import object_id
from agent.routes.graphs import as_json, number

#: Seconds that a drain has where nothing is said.
_DRAIN = 300.0


def blueprint(agent: Agent) -> flask.Blueprint:
    """The routes below /2.0/loadbalancers."""
    routes = flask.Blueprint("drains", __name__)

    @routes.post("/<lb>/members/<member>/drain")
    def drain(lb: str, member: str) -> flask.Response:
        return as_json(agent.drains.start(object_id(lb, "load balancer"), object_id(member, "member"), number("deadline", _DRAIN)))

    @routes.get("/<lb>/members/<member>/drain")
    def drained(lb: str, member: str) -> flask.Response:
        return as_json(agent.drains.progress(object_id(lb, "load balancer"), object_id(member, "member")))

    @routes.delete("/<lb>/members/<member>/drain")
    def undrain(lb: str, member: str) -> flask.Response:
        agent.drains.cancel(object_id(lb, "load balancer"), object_id(member, "member"))
        return flask.Response(status=204)

    return routes
