"""Each feature goes through Hydria's driver to a real agent as one graph: those, too, that Octavia writes so that no HAProxy takes them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hydria_driven import asked
from octavia_features import every_feature, load
from octavia_process import OUR_DRIVER, Controller
from octavia_site import VIP, Site

from hydria.lab.client import Connection

pytest_plugins = ["octavia_fixtures"]


@pytest.fixture(scope="module")
def site(controller: Controller, directory: Path) -> Iterator[Site]:
    with Site(controller, directory / "hydria-features", driver=OUR_DRIVER) as site:
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
    site.update()
    if not listeners:
        # As Octavia's own: there is nothing to tell.
        assert asked(site.machine, "/2.0/loadbalancers") == []
        return
    enabled = {each.id: each.protocol_port for each in listeners if each.admin_state_up and graph.admin_state_up}
    assert {told["uuid"]: told["status"] for told in site.client_call("get_all_listeners")} == dict.fromkeys(enabled, "ACTIVE")
    for port in enabled.values():
        # Who is not among a listener's allowed addresses is reset, which may be seen before the connection is; a port without a listener refuses.
        with site.client.entered(), suppress(ConnectionResetError):
            Connection((VIP, port)).close()
    for each in listeners:
        site.driver_call("delete", {"model": "listener", "of": each.id})
        site.octavia.command("forget", listener=each.id)
    assert asked(site.machine, "/2.0/loadbalancers") == []
