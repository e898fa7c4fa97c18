"""What a load balancer presents and trusts: certificates with their keys, CAs, revocation lists, lists of certificates."""

from __future__ import annotations

import flask

from agent.collaborators import Agent
from agent.identifiers import certificate_name, object_id
from agent.routes.bodies import CERTIFICATE, body, done, tagged


def blueprint(agent: Agent) -> flask.Blueprint:
    """The routes below /1.0."""
    routes = flask.Blueprint("certificates", __name__)

    @routes.put("/loadbalancer/<lb>/certificates/<name>")
    def upload(lb: str, name: str) -> flask.Response:
        lb_id, file_name = object_id(lb, "load balancer"), certificate_name(name)
        content = body(CERTIFICATE)
        agent.certificates.put(lb_id, file_name, content)
        return done(status=200, content=content)

    @routes.get("/loadbalancer/<lb>/certificates/<name>")
    def md5(lb: str, name: str) -> flask.Response:
        found = agent.certificates.md5(object_id(lb, "load balancer"), certificate_name(name))
        return tagged(flask.jsonify({"md5sum": found}), found)

    @routes.delete("/loadbalancer/<lb>/certificates/<name>")
    def delete(lb: str, name: str) -> flask.Response:
        agent.certificates.delete(object_id(lb, "load balancer"), certificate_name(name))
        return done(status=200)

    return routes
