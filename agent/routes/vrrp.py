"""The keepalived that holds the VIP of a pair."""

from __future__ import annotations

import flask

from agent.collaborators import Agent
from agent.routes.actions import chosen
from agent.routes.bodies import CONFIGURATION, body, done


def blueprint(agent: Agent) -> flask.Blueprint:
    """The routes below /1.0."""
    routes = flask.Blueprint("vrrp", __name__)

    @routes.put("/vrrp/upload")
    def upload() -> flask.Response:
        content = body(CONFIGURATION)
        agent.vrrp.upload(content)
        return done(status=200, content=content)

    @routes.put("/vrrp/<action>")
    def act(action: str) -> flask.Response:
        return done(chosen(action)(agent.vrrp)() or f"{action}: done")

    return routes
