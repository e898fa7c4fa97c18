"""Run by the Python of `.venv/octavia`: a load balancer as Octavia's database keeps it and its worker reads it; prints its graph and a target."""

from __future__ import annotations

import json
import uuid
from typing import Any

import sqlalchemy
from octavia.db import base_models, models
from octavia.db.repositories import LoadBalancerRepository
from sqlalchemy.orm import Session

from hydria.octavia.graphs import Defaults, graph_of
from hydria.octavia.targets import target_of


def new() -> str:
    return str(uuid.uuid4())


def rows() -> list[Any]:
    """The first is the load balancer's."""
    balancer, listener, pool, policy, network = new(), new(), new(), new(), new()
    fine = {"provisioning_status": "ACTIVE", "operating_status": "ONLINE", "enabled": True}
    going = fine | {"provisioning_status": "PENDING_DELETE"}
    address = {"protocol_port": 80, "backup": False, "pool_id": pool}
    http = {"http_method": "GET", "url_path": "/", "expected_codes": "200", "http_version": 1.1, "domain_name": "a.example"}
    monitor = {"type": "HTTP", "delay": 5, "timeout": 3, "rise_threshold": 2, "fall_threshold": 3, **http}
    rule = {"type": "PATH", "compare_type": "EQUAL_TO", "value": "/a", "invert": False}
    own = {"load_balancer_id": balancer, "status": "ALLOCATED", "vrrp_id": 1, "vrrp_interface": "eth1"}
    return [
        models.LoadBalancer(id=balancer, name="rows", topology="ACTIVE_STANDBY", **fine),
        models.Vip(load_balancer_id=balancer, ip_address="203.0.113.10", subnet_id=new(), network_id=network, port_id=new()),
        models.AdditionalVip(load_balancer_id=balancer, ip_address="2001:db8::1", subnet_id=new(), network_id=network, port_id=new()),
        models.Pool(id=pool, load_balancer_id=balancer, protocol="HTTP", lb_algorithm="ROUND_ROBIN", **fine),
        models.Listener(
            id=listener, load_balancer_id=balancer, protocol="HTTP", protocol_port=80, default_pool_id=pool, connection_limit=-1, **fine
        ),
        models.ListenerCidr(listener_id=listener, cidr="198.51.100.0/24"),
        models.Member(id=new(), ip_address="192.0.2.1", weight=3, **address, **fine),
        models.Member(id=new(), ip_address="192.0.2.2", weight=1, **address, **going),
        models.HealthMonitor(id=new(), pool_id=pool, **monitor, **fine),
        models.SessionPersistence(pool_id=pool, type="HTTP_COOKIE"),
        models.L7Policy(id=policy, listener_id=listener, action="REDIRECT_TO_POOL", redirect_pool_id=pool, position=1, **fine),
        models.L7Rule(id=new(), l7policy_id=policy, **rule, **fine),
        models.Amphora(id=new(), lb_network_ip="192.0.2.21", vrrp_ip="203.0.113.21", role="MASTER", vrrp_priority=100, **own),
        models.Amphora(id=new(), lb_network_ip="192.0.2.22", vrrp_ip="203.0.113.22", role="BACKUP", vrrp_priority=90, **own),
    ]


def main() -> None:
    # Not Octavia's engine: what its tables of words would have to hold does not matter here.
    engine = sqlalchemy.create_engine("sqlite://")
    base_models.BASE.metadata.create_all(engine)
    with Session(engine) as session:
        made = rows()
        session.add_all(made)
        session.commit()
        found = LoadBalancerRepository().get(session, id=made[0].id)
        print(json.dumps([graph_of(found, found.listeners, Defaults()), target_of(found, found.amphorae[0])]))  # noqa: T201


if __name__ == "__main__":
    main()
