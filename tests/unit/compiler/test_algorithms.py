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


@pytest.mark.parametrize(("version", "told"), [((2, 6), True), ((2, 8, 25), True), ((3, 0), False), ((3, 2), False)])
def test_what_the_targets_haproxy_lacks_is_told_with_the_version_that_has_it(version: tuple[int, ...], told: bool) -> None:
    pool = {"protocol": "HTTP", "lb_algorithm": "SOURCE_IP", "hash": "address", "members": [{"address": "10.0.0.1", "protocol_port": 80}]}
    graph = compiler.load(json.dumps({"loadbalancer": {"vip_address": "192.0.2.1", "pools": [pool]}}))
    bundle = compiler.build(graph, compiler.Target(haproxy=version))
    assert [(problem.path, problem.code) for problem in bundle.problems] == [("loadbalancer.pools[0].hash", "unsupported-by-target")] * told
    assert all("3.0 is the first" in problem.message for problem in bundle.problems)
