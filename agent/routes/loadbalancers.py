"""What HAProxy runs with. Starting, stopping and deleting is for load balancers and for UDP and SCTP listeners alike: the id tells which it is."""

from __future__ import annotations

import flask

from agent.collaborators import Agent, Haproxies, LvsListeners
from agent.errors import NotFoundError
from agent.identifiers import object_id
from agent.routes.actions import chosen
from agent.routes.bodies import CONFIGURATION, body, done, text


def blueprint(agent: Agent) -> flask.Blueprint:
    """The routes below /1.0."""
    routes = flask.Blueprint("loadbalancers", __name__)

    @routes.put("/loadbalancer/<amphora>/<lb>/haproxy")
    def upload(amphora: str, lb: str) -> flask.Response:
        amphora_id, lb_id = object_id(amphora, "amphora"), object_id(lb, "load balancer")
        content = body(CONFIGURATION)
        agent.haproxies.upload(amphora_id, lb_id, content)
        return done(content=content)

    @routes.get("/loadbalancer/<lb>/haproxy")
    def config(lb: str) -> flask.Response:
        return text(agent.haproxies.config(object_id(lb, "load balancer")))

    @routes.put("/loadbalancer/<identifier>/<action>")
    def act(identifier: str, action: str) -> flask.Response:
        found = object_id(identifier)
        return done(chosen(action)(_holder(agent, found))(found) or f"{action}: done")

    @routes.delete("/listeners/<identifier>")
    def delete(identifier: str) -> flask.Response:
        found = object_id(identifier)
        try:
            _holder(agent, found).delete(found)
        except NotFoundError:
            # Absent is what was asked for. Leftovers of an upload that was interrupted go, too.
            agent.haproxies.delete(found)
            agent.lvs.delete(found)
        return done(status=200)

    return routes


def _holder(agent: Agent, identifier: str) -> Haproxies | LvsListeners:
    """Whose configuration goes by this id. Raises NotFoundError."""
    if identifier in agent.haproxies.loadbalancers():
        return agent.haproxies
    if any(listener.uuid == identifier for listener in agent.lvs.listeners()):
        return agent.lvs
    raise NotFoundError(f"there is no load balancer and no UDP or SCTP listener {identifier} here")
