"""Octavia's side of `compiling`, run by the Python of `.venv/octavia`: for each line read, renders once and prints the seconds it took."""

from __future__ import annotations

import sys
import time
import uuid

from octavia.common import (
    config,  # noqa: F401  (registers the options that rendering reads)
    data_models,
)
from octavia.common.jinja.haproxy.combined_listeners import jinja_cfg
from oslo_config import cfg


def identifier() -> str:
    return str(uuid.uuid4())


def load_balancer(listeners: int, members: int) -> tuple[data_models.Amphora, data_models.LoadBalancer]:
    amphora = data_models.Amphora(
        id=identifier(), lb_network_ip="10.0.1.1", vrrp_ip="10.1.1.1", ha_ip="192.0.2.1", role="STANDALONE", status="ALLOCATED"
    )
    balancer = data_models.LoadBalancer(
        id=identifier(),
        project_id=identifier(),
        name="lb",
        enabled=True,
        topology="SINGLE",
        vip=data_models.Vip(ip_address="192.0.2.1"),
        amphorae=[amphora],
    )
    for number in range(listeners):
        pool = data_models.Pool(id=identifier(), protocol="HTTP", lb_algorithm="ROUND_ROBIN", enabled=True, load_balancer=balancer)
        pool.health_monitor = data_models.HealthMonitor(
            id=identifier(),
            type="HTTP",
            delay=5,
            timeout=3,
            fall_threshold=3,
            rise_threshold=2,
            http_method="GET",
            url_path="/health",
            expected_codes="200",
            enabled=True,
            pool=pool,
        )
        pool.members = [
            data_models.Member(
                id=identifier(),
                ip_address=f"10.{number % 256}.{place // 256}.{place % 256}",
                protocol_port=8080,
                weight=1,
                backup=False,
                enabled=True,
                operating_status="ONLINE",
                pool=pool,
            )
            for place in range(members)
        ]
        listener = data_models.Listener(
            id=identifier(),
            project_id=balancer.project_id,
            protocol="HTTP",
            protocol_port=8000 + number,
            connection_limit=-1,
            enabled=True,
            default_pool=pool,
            load_balancer=balancer,
            peer_port=1025,
            insert_headers={"X-Forwarded-For": "true"},
            pools=[pool],
            timeout_client_data=50000,
            timeout_member_connect=5000,
            timeout_member_data=50000,
            timeout_tcp_inspect=0,
        )
        balancer.listeners.append(listener)
        balancer.pools.append(pool)
        pool.listeners.append(listener)
    return amphora, balancer


def main() -> None:
    cfg.CONF([], project="octavia", default_config_files=[])
    listeners, members = map(int, sys.argv[1:])
    amphora, balancer = load_balancer(listeners, members)
    templater = jinja_cfg.JinjaTemplater(base_amp_path="/var/lib/octavia", base_crt_dir="/var/lib/octavia/certs")
    text = templater.build_config(amphora, balancer.listeners, {}, ("2", "6"), {})
    if text.count("    server ") != listeners * members:
        sys.exit("Octavia did not render the load balancer that was asked for")
    for _ in sys.stdin:
        begin = time.perf_counter()
        templater.build_config(amphora, balancer.listeners, {}, ("2", "6"), {})
        print(time.perf_counter() - begin, flush=True)


if __name__ == "__main__":
    main()
