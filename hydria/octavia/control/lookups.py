"""Answers to what a command line asks of a cloud for names and ids, in the words of Neutron's and Keystone's APIs: only what the lab's cloud knows.

`GET /v2.0/networks|subnets|ports|security-groups|qos/policies`, whole or with fields to be equal (`?name=…`), or one by its id; `GET /projects/ID`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from agent.errors import NotFoundError
from hydria.lab.octavia_plan import PROJECT, PROJECT_NAME
from hydria.octavia.cloud_things import Network, Port, QosPolicy, SecurityGroup, Subnet, Thing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hydria.octavia.cloud import Cloud

Document = dict[str, Any]
Answer = tuple[int, Document]

_PATH = re.compile(r"/v2(?:\.0)?/(?P<kind>networks|subnets|ports|security-groups|qos/policies)(?:\.json)?(?:/(?P<id>[^/]+))?/?", re.ASCII)
_PROJECT = re.compile(r"(?:/v3)?/projects/(?P<id>[^/]+)/?", re.ASCII)


class _Kind(NamedTuple):
    """What a collection is of, what one and several are called, and the fields that Neutron has besides the thing's own."""

    thing: type[Thing]
    one: str
    several: str
    more: Callable[[Any, Cloud], Document]


def _network(network: Network, cloud: Cloud) -> Document:
    subnets = [each.id for each in cloud.subnets_of(network.id)]
    return {"subnets": subnets, "router:external": network.external, "shared": True, "status": "ACTIVE", "admin_state_up": True}


def _subnet(subnet: Subnet, _: Cloud) -> Document:
    pools = [{"start": pool.first, "end": pool.last} for pool in subnet.pools]
    return {"ip_version": subnet.ip_version, "allocation_pools": pools, "enable_dhcp": False, "dns_nameservers": []}


def _port(port: Port, _: Cloud) -> Document:
    return {"status": port.status, "security_groups": port.security_group_ids, "binding:vnic_type": port.vnic_type}


def _group(group: SecurityGroup, _: Cloud) -> Document:
    return {"security_group_rules": [{**msgspec.to_builtins(rule), "security_group_id": group.id} for rule in group.rules]}


def _policy(_: QosPolicy, __: Cloud) -> Document:
    return {"rules": [], "shared": True, "is_default": False}


_KINDS = {
    "networks": _Kind(Network, "network", "networks", _network),
    "subnets": _Kind(Subnet, "subnet", "subnets", _subnet),
    "ports": _Kind(Port, "port", "ports", _port),
    "security-groups": _Kind(SecurityGroup, "security_group", "security_groups", _group),
    "qos/policies": _Kind(QosPolicy, "policy", "policies", _policy),
}
#: What is the lab's own business.
_INTERNAL = ("bridge", "external", "pools", "after", "plugged", "security_group_ids", "vnic_type")


class Lookups:
    """Of a cloud."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def __call__(self, path: str, query: Iterable[tuple[str, str]]) -> Answer | None:
        """Status and document; None where nothing of this is asked for."""
        if found := _PATH.fullmatch(path):
            kind = _KINDS[found["kind"]]
            return self._several(kind, dict(query)) if found["id"] is None else self._one(kind, found["id"])
        if found := _PROJECT.fullmatch(path):
            return 200, {"project": _project(found["id"])}
        return None

    def _one(self, kind: _Kind, identity: str) -> Answer:
        try:
            return 200, {kind.one: self._shown(kind, self._cloud.get(kind.thing, identity))}
        except NotFoundError as error:
            return 404, {"NeutronError": {"type": f"{kind.thing.__name__}NotFound", "message": f"{error}.", "detail": ""}}

    def _several(self, kind: _Kind, query: Document) -> Answer:
        things = self._cloud.find(kind.thing, identity=query.pop("id", None), name=query.pop("name", None))
        shown = [self._shown(kind, each) for each in things]
        # What is not a field is about how to show them: all of them are shown, whole.
        return 200, {kind.several: [each for each in shown if all(_text(each[key]) == query[key] for key in query if key in each)]}

    def _shown(self, kind: _Kind, thing: Thing) -> Document:
        own = {key: value for key, value in msgspec.to_builtins(thing).items() if key not in _INTERNAL}
        project = thing.project_id or PROJECT
        return {"description": "", **own, "project_id": project, "tenant_id": project, "tags": [], **kind.more(thing, self._cloud)}


def _project(called: str) -> Document:
    """Nobody keeps projects: each that is asked for is one."""
    identity = PROJECT if called == PROJECT_NAME else called
    name = PROJECT_NAME if identity == PROJECT else identity
    return {"id": identity, "name": name, "domain_id": "default", "enabled": True, "description": ""}


def _text(value: Any) -> str:
    """A field as a query has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
