from __future__ import annotations

import json

import pytest

import compiler


def balance(algorithm: str, members: int) -> str:
    pool = {
        "protocol": "HTTP",
        "lb_algorithm": algorithm,
        "members": [{"address": f"10.0.{n // 256}.{n % 256}", "protocol_port": 80} for n in range(members)],
    }
    listener = {"protocol": "HTTP", "protocol_port": 80, "default_pool": pool}
    bundle = compiler.build(compiler.load(json.dumps({"loadbalancer": {"vip_address": "192.0.2.1", "listeners": [listener]}})))
    lines = bundle.files["haproxy.cfg"].content.decode().split("\n")
    return next(line.strip() for line in lines if line.strip().startswith("balance "))


@pytest.mark.parametrize(
    ("algorithm", "members", "expected"),
    [
        ("ROUND_ROBIN", 4095, "balance roundrobin"),
        ("ROUND_ROBIN", 4096, "balance static-rr"),
        ("LEAST_CONNECTIONS", 4096, "balance leastconn"),
        ("SOURCE_IP", 4096, "balance source"),
    ],
)
def test_round_robin_without_haproxys_limit(algorithm: str, members: int, expected: str) -> None:
    assert balance(algorithm, members) == expected
