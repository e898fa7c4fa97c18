"""The network: interfaces that are plugged in, whose address is where, what is let in."""

from __future__ import annotations

import flask

from agent.collaborators import Agent
from agent.network.requests import NetworkPlug, Rule, VipPlug
from agent.routes.bodies import DESCRIPTION, body, done


def blueprint(agent: Agent) -> flask.Blueprint:
    """The routes below /1.0."""
    routes = flask.Blueprint("interfaces", __name__)

    @routes.post("/plug/vip/<vip>")
    def plug_vip(vip: str) -> flask.Response:
        plan = VipPlug.decode(vip, body(DESCRIPTION))
        return done(agent.network.plug_vip(plan, active_standby=agent.settings.current.active_standby))

    @routes.post("/plug/network")
    def plug_network() -> flask.Response:
        plan = NetworkPlug.decode(body(DESCRIPTION))
        return done(agent.network.plug_network(plan, active_standby=agent.settings.current.active_standby))

    @routes.get("/interface/<address>")
    def interface(address: str) -> flask.Response:
        return flask.jsonify({"message": "OK", "interface": agent.network.interface_of(address)})

    @routes.put("/interface/<address>/rules")
    def set_rules(address: str) -> flask.Response:
        found = agent.network.interface_of(address)
        agent.network.set_rules(found, Rule.decode_all(body(DESCRIPTION)))
        return done(status=200)

    return routes
