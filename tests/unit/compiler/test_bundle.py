"""`Bundle` and its source map: which line comes from whom, whose a file is, and what a digest tells apart."""

from __future__ import annotations

import json
from typing import Any

import pytest

import compiler
from compiler import HAPROXY_CFG, File, Origin, Problem, Secret, SourceMap, SystemFault, Target
from compiler.bundle import Origins, digest_of
from compiler.index import Index, secret_references, walk
from hydria.lab.certificates import Authority

DOCUMENT: dict[str, Any] = {
    "name": "lb",
    "vip_address": "203.0.113.10",
    "listeners": [
        {
            "name": "front",
            "protocol": "TERMINATED_HTTPS",
            "protocol_port": 443,
            "default_tls_container_ref": "certificate",
            "client_ca_tls_container_ref": "authority",
            "client_authentication": "OPTIONAL",
            "insert_headers": {"X-Forwarded-For": "true"},
            "allowed_cidrs": ["192.0.2.0/24"],
            "hsts_max_age": 1,
            "timeout_tcp_inspect": 1,
            "default_pool": {"name": "web"},
            "l7policies": [
                {"name": "no", "action": "REJECT", "rules": [{"name": "a", "type": "PATH", "compare_type": "EQUAL_TO", "value": "/a"}]},
                {
                    "name": "away",
                    "action": "REDIRECT_TO_URL",
                    "redirect_url": "http://x/",
                    "rules": [{"name": "b", "type": "COOKIE", "key": "k", "compare_type": "EQUAL_TO", "value": "\u2028"}],
                },
            ],
        }
    ],
    "pools": [
        {
            "name": "web",
            "protocol": "HTTP",
            "lb_algorithm": "SOURCE_IP",
            "session_persistence": {"type": "APP_COOKIE", "cookie_name": "c"},
            "healthmonitor": {"name": "check", "type": "HTTP", "delay": 5, "timeout": 3, "max_retries": 2},
            "members": [{"name": f"m{n}", "address": f"192.0.2.{n}", "protocol_port": 80} for n in (1, 2)],
        }
    ],
}


@pytest.fixture(scope="module")
def secrets() -> dict[str, Secret]:
    authority = Authority()
    return {"certificate": Secret(authority.server("x.example").bundle_pem), "authority": Secret(authority.certificate_pem)}


@pytest.fixture(scope="module")
def bundle(secrets: dict[str, Secret]) -> compiler.Bundle:
    return compiler.build(compiler.load(json.dumps(DOCUMENT)), Target(log="/dev/log"), secrets)


def lines(bundle: compiler.Bundle) -> list[str]:
    return bundle.files[HAPROXY_CFG].content.decode().split("\n")


class TestSourceMap:
    @pytest.mark.parametrize(
        ("start", "kind", "name", "field"),
        [
            ("stats socket", "loadbalancer", "lb", "id"),
            ("frontend", "listener", "front", "id"),
            ("bind 203", "listener", "front", "default_tls_container_ref"),
            ("maxconn 50000", "listener", "front", "connection_limit"),
            ("timeout client", "listener", "front", "timeout_client_data"),
            ("tcp-request connection", "listener", "front", "allowed_cidrs"),
            ("tcp-request inspect-delay", "listener", "front", "timeout_tcp_inspect"),
            ("http-after-response", "listener", "front", "hsts_max_age"),
            ("http-request deny", "l7policy", "no", "action"),
            ("http-request redirect code", "l7policy", "away", "redirect_url"),
            ("default_backend", "listener", "front", "default_pool"),
            ("backend", "pool", "web", "id"),
            ("balance", "pool", "web", "lb_algorithm"),
            ("hash-type", "pool", "web", "hash"),
            ("stick-table", "pool", "web", "session_persistence"),
            ("stick match", "pool", "web", "session_persistence.cookie_name"),
            ("option forwardfor", "listener", "front", "insert_headers"),
            ("timeout connect", "listener", "front", "timeout_member_connect"),
            ("timeout server", "listener", "front", "timeout_member_data"),
            ("timeout check", "healthmonitor", "check", "timeout"),
            ("http-check send", "healthmonitor", "check", "url_path"),
            ("http-check expect", "healthmonitor", "check", "expected_codes"),
            ("default-server check", "healthmonitor", "check", "delay"),
        ],
    )
    def test_a_line_leads_to_its_object_and_field(self, bundle: compiler.Bundle, start: str, kind: str, name: str, field: str) -> None:
        number = next(number for number, line in enumerate(lines(bundle), 1) if line.strip().startswith(start))
        origin = bundle.source_map.at(HAPROXY_CFG, number)
        assert origin is not None
        assert (origin.object.type, origin.object.name) == (kind, name)
        assert field in origin.fields

    def test_every_field_of_an_origin_is_one_of_its_object(self, bundle: compiler.Bundle) -> None:
        graph = compiler.load(json.dumps(DOCUMENT))
        nodes = {path: node for node, path in walk(graph)}
        for number in range(1, len(lines(bundle)) + 1):
            origin = bundle.source_map.at(HAPROXY_CFG, number)
            if origin is not None:
                assert all(hasattr(nodes[origin.path], field.split(".")[0]) for field in origin.fields), origin

    def test_an_object_leads_to_its_lines(self, bundle: compiler.Bundle) -> None:
        graph = compiler.load(json.dumps(DOCUMENT))
        for node, path in walk(graph):
            if path.endswith(".default_pool"):
                continue  # a reference
            found = list(bundle.source_map.lines_of(node.id))
            assert found, path
            assert {origin.path for _, _, origin in found} == {path}
            assert all(bundle.source_map.at(file, line) == origin for file, line, origin in found)
            first = bundle.source_map.object_with_id(node.id)
            assert first is not None
            assert first.path == path

    def test_lines_of_nobody_and_lines_that_are_not_there(self, bundle: compiler.Bundle) -> None:
        last = len(lines(bundle))
        for number in (-1, 0, 1, last + 1, 10**9):
            assert bundle.source_map.at(HAPROXY_CFG, number) is None
        assert bundle.source_map.at("other.cfg", 1) is None
        assert list(bundle.source_map.lines_of("nobody")) == []
        assert bundle.source_map.object_with_id("nobody") is None

    def test_a_file_beside_the_configuration_is_its_owners(self, bundle: compiler.Bundle) -> None:
        beside = [path for path in bundle.files if path != HAPROXY_CFG]
        owners = []
        for path in beside:
            origin = bundle.source_map.at(path, 1)
            assert origin is not None
            owners.append(origin.object.name)
        assert sorted(owners) == ["a", "b", *["front"] * 4]

    def test_no_mark_is_left_in_the_text(self, bundle: compiler.Bundle) -> None:
        assert "\x1e" not in bundle.files[HAPROXY_CFG].content.decode()

    def test_a_map_without_a_way_to_describe_is_a_fault(self) -> None:
        graph = compiler.load('{"vip_address": "192.0.2.1"}')
        origins = Origins()
        origins.add([graph], ())
        with pytest.raises(SystemFault):
            SourceMap(origins, {"x": [0]}).at("x", 1)


class TestFiles:
    def test_every_file_that_is_named_is_there_and_none_else(self, bundle: compiler.Bundle) -> None:
        text = "".join(file.content.decode() for path, file in bundle.files.items() if not file.secret)
        for path in bundle.files:
            assert path == HAPROXY_CFG or path in text, path
        assert {path for word in text.split() if (path := word).startswith(("certs/", "lists/"))} == set(bundle.files) - {HAPROXY_CFG}

    def test_keys_are_for_nobody_else(self, bundle: compiler.Bundle) -> None:
        secret = [path for path, file in bundle.files.items() if file.secret]
        assert len(secret) == 1
        assert bundle.files[secret[0]].mode == 0o600
        assert {file.mode for path, file in bundle.files.items() if path not in secret} == {0o644}

    def test_a_bundle_with_an_error_has_no_files(self, secrets: dict[str, Secret]) -> None:
        broken = compiler.build(compiler.load(json.dumps({**DOCUMENT, "vip_address": "x"})), None, secrets)
        assert (broken.ok, broken.files, broken.digest) == (False, {}, digest_of({}))
        assert list(broken.source_map.lines_of("x")) == []

    def test_a_renewed_certificate_keeps_its_file(self, bundle: compiler.Bundle, secrets: dict[str, Secret]) -> None:
        renewed = compiler.build(
            compiler.load(json.dumps(DOCUMENT)),
            Target(log="/dev/log"),
            {**secrets, "certificate": Secret(Authority().server("x.example").bundle_pem)},
        )
        different = [path for path in bundle.files if bundle.files[path] != renewed.files[path]]
        assert bundle.files.keys() == renewed.files.keys()
        assert [bundle.files[path].secret for path in different] == [True]
        assert renewed.digest != bundle.digest


class TestDigest:
    def test_it_tells_apart_what_is_different(self) -> None:
        sets = [
            {},
            {"a": File(b"")},
            {"a": File(b"x")},
            {"b": File(b"x")},
            {"a": File(b"x", 0o600)},
            {"a": File(b"x"), "b": File(b"")},
            {"a": File(b""), "b": File(b"x")},
            {"a": File(b"xb\x00644\x000\x00")},
        ]
        assert len({digest_of(files) for files in sets}) == len(sets)

    def test_the_order_of_files_does_not_matter(self) -> None:
        assert digest_of({"a": File(b"x"), "b": File(b"y")}) == digest_of({"b": File(b"y"), "a": File(b"x")})


class TestProblems:
    def test_a_code_that_is_not_registered_is_refused(self) -> None:
        with pytest.raises(KeyError):
            Problem(code="no-such-code", message="x")

    def test_every_code_says_what_it_means(self) -> None:
        assert all(text.endswith(".") and code == code.lower() for code, text in compiler.CODES.items())

    def test_a_problem_as_a_line(self) -> None:
        problem = Problem(path="a.b", code="syntax", message="m", hint="h", line=3, column=4, object=compiler.ObjectRef("pool", "1", "n"))
        assert str(problem) == "3:4: error: a.b: m (h) [pool 1 (n)] <syntax>"
        assert str(Problem(code="syntax", message="m")) == "error: input: m <syntax>"


class TestIndex:
    def test_secret_references_come_once_and_in_order(self) -> None:
        front = {"protocol": "TERMINATED_HTTPS", "protocol_port": 1, "default_tls_container_ref": "b", "sni_container_refs": ["a", "b"]}
        front |= {"client_ca_tls_container_ref": "c", "client_crl_container_ref": "d"}
        web = {"name": "w", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN", "tls_container_ref": "e", "ca_tls_container_ref": "c"}
        graph = compiler.load(json.dumps({"vip_address": "192.0.2.1", "listeners": [front], "pools": [{**web, "crl_container_ref": "f"}]}))
        assert secret_references(graph) == ["b", "a", "c", "d", "e", "f"]

    def test_a_pool_is_found_by_each_kind_of_reference(self) -> None:
        web = {"name": "w", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN", "id": "6f1f4c3e-0d5e-4b0f-9c53-2f1d8f0f7a11"}
        for reference in ({"default_pool": {"name": "w"}}, {"default_pool": {"id": web["id"]}}, {"default_pool_id": web["id"]}):
            front = {"protocol": "HTTP", "protocol_port": 80, **reference}
            graph = compiler.load(json.dumps({"vip_address": "192.0.2.1", "listeners": [front], "pools": [web]}))
            assert Index(graph).default_pool(graph.listeners[0]) is graph.pools[0]


def test_an_origin_says_what_it_knows(bundle: compiler.Bundle) -> None:
    number = next(number for number, line in enumerate(lines(bundle), 1) if "server " in line and "local" not in line and "192" in line)
    origin = bundle.source_map.at(HAPROXY_CFG, number)
    assert isinstance(origin, Origin)
    assert origin.path == "loadbalancer.pools[0].members[0]"
