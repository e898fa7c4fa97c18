"""The amphora itself: what it is and how it fares, its own certificate and settings."""

from __future__ import annotations

from typing import Any

import flask
import msgspec

from agent.collaborators import Agent
from agent.routes.bodies import OWN, body, done


def blueprint(agent: Agent) -> flask.Blueprint:
    """The routes below /1.0."""
    routes = flask.Blueprint("amphora", __name__)

    @routes.get("/info")
    def info() -> dict[str, Any]:
        return dict(agent.machine.info())

    @routes.get("/details")
    def details() -> dict[str, Any]:
        loadbalancers, lvs = agent.haproxies.loadbalancers(), agent.lvs.listeners()
        return {
            **agent.machine.info(),
            **agent.machine.measurements(),
            "networks": {name: {"network_tx": sent, "network_rx": got} for name, (sent, got) in agent.network.counters().items()},
            "active": True,
            "haproxy_count": sum(agent.haproxies.running(lb) for lb in loadbalancers),
            "lvs_listener_process_count": sum(agent.lvs.running(listener.uuid) for listener in lvs),
            "topology": agent.settings.current.loadbalancer_topology,
            "topology_status": "OK",
            "listeners": sorted({listener.uuid for listener in (*agent.haproxies.listeners(), *lvs)}),
            "packages": {},
        }

    @routes.get("/listeners")
    def listeners() -> flask.Response:
        return flask.jsonify(msgspec.to_builtins([*agent.haproxies.listeners(), *agent.lvs.listeners()]))

    @routes.put("/certificate")
    def certificate() -> flask.Response:
        agent.identity.replace(body(OWN))
        return done()

    @routes.put("/config")
    def config() -> flask.Response:
        unfollowed = agent.settings.replace(body(OWN))
        return done("; ".join(unfollowed) or None)

    return routes
