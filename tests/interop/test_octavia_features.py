"""What Octavia renders of a graph for each feature is served by a real agent: one load balancer after the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from octavia_features import BEYOND_OCTAVIA, every_feature, load
from octavia_process import Controller, OctaviaError
from octavia_site import VIP, Site

from hydria.lab.client import Connection

pytest_plugins = ["octavia_fixtures"]


@pytest.fixture(scope="module")
def site(controller: Controller, directory: Path) -> Iterator[Site]:
    with Site(controller, directory / "features-site") as site:
        site.describe({"name": "empty", "vip_address": VIP})
        site.plug_vip(site.machine)
        site.plug_members(site.machine)
        yield site


@every_feature
def test_every_feature_is_served(feature: Path, site: Site) -> None:
    graph, secrets = load(feature)
    listeners = tuple(each for each in graph.listeners if each.protocol not in ("UDP", "SCTP"))
    graph = msgspec.structs.replace(graph, listeners=listeners)
    site.know(graph, secrets)
    if feature in BEYOND_OCTAVIA:
        with pytest.raises(OctaviaError, match="InvalidRequest") as caught:
            site.update()
        assert BEYOND_OCTAVIA[feature] in caught.value.exchanges[-1].json()["details"]
        assert site.client_call("get_all_listeners") == []
        return
    site.update()
    served = {each.id: each.protocol_port for each in listeners if each.admin_state_up and graph.admin_state_up}
    assert {told["uuid"]: told["status"] for told in site.client_call("get_all_listeners")} == dict.fromkeys(served, "ACTIVE")
    for port in served.values():
        with site.client.entered():
            Connection((VIP, port)).close()
    site.client_call("delete_listener", graph.id)
    assert site.client_call("get_all_listeners") == []
