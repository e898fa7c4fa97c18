"""What keepalived balances UDP and SCTP with: a configuration for each listener. Both are called `udp_listener` in the contract."""

from __future__ import annotations

import flask

from agent.collaborators import Agent
from agent.identifiers import object_id
from agent.routes.bodies import CONFIGURATION, body, done, text


def blueprint(agent: Agent) -> flask.Blueprint:
    """The routes below /1.0."""
    routes = flask.Blueprint("lvs", __name__)

    @routes.put("/listeners/<amphora>/<listener>/udp_listener")
    def upload(amphora: str, listener: str) -> flask.Response:
        object_id(amphora, "amphora")
        listener_id = object_id(listener, "listener")
        content = body(CONFIGURATION)
        agent.lvs.upload(listener_id, content)
        return done(status=200, content=content)

    @routes.get("/listeners/<listener>/udp_listener")
    def config(listener: str) -> flask.Response:
        return text(agent.lvs.config(object_id(listener, "listener")))

    return routes
