"""Whatever is sent: the answer is JSON, with a status that Octavia's controller knows, and never blames the agent."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from support.fake_agent import AMPHORA, FakeAgent
from support.hostile_places import LB, PLACES

from agent.app import make_app
from agent.routes import bodies
from agent.routes.errors import UNDERSTOOD, understood

WORDS = [
    "x",
    "..",
    "%2e%2e",
    "..%2f..%2fetc%2fpasswd",
    "%00",
    "%ff%fe",
    "%0d%0aSet-Cookie:x",
    "%F0%9F%92%A9",
    "-" * 36,
    "5d2f0d3e-6c1b-4a55-8d5e-0b6b7e1b6a1%EF%BC%90",
    "A" * 3000,
    "'; DROP TABLE",
    "%7B%7B7*7%7D%7D",
    "fe80::1%25eth0",
]

BODIES = [
    b"",
    b"\x00",
    b"null",
    b"[]",
    b"{}",
    b"1",
    b'"text"',
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b'{"mac_address": null}',
    b'{"mac_address": "fa:16:3e:00:00:01", "subnet_cidr": "300.0.0.0/8", "gateway": "x", "mtu": "x"}',
    b'{"mac_address": "fa:16:3e:00:00:01", "subnet_cidr": ["192.0.2.0/24"], "gateway": {}, "mtu": []}',
    b'{"mac_address": "fa:16:3e:00:00:01", "mtu": 1e400}',
    b'{"mac_address": "fa:16:3e:00:00:01", "mtu": 99999999999999999999999}',
    b'{"mac_address": "fa:16:3e:00:00:01\\u0000"}',
    b'{"mac_address": "fa:16:3e:00:00:01", "fixed_ips": [{"ip_address": "\\ud800", "subnet_cidr": ""}]}',
    b'[{"protocol": "TCP", "cidr": "192.0.2.0/33", "port": 0}]',
]


@pytest.fixture
def client(tmp_path: Path) -> FlaskClient:
    return make_app(FakeAgent(tmp_path).agent).test_client()


@pytest.mark.parametrize(("method", "path"), PLACES)
@pytest.mark.parametrize("word", WORDS, ids=lambda word: word[:20])
def test_a_word_in_a_path(client: FlaskClient, method: str, path: str, word: str) -> None:
    answer = client.open("/1.0/" + path.format(word), method=method, data=b"x")
    assert answer.status_code in (400, 404, 405)
    assert answer.mimetype == "application/json"
    assert isinstance(answer.json, dict)
    assert "No suitable network interface found" not in answer.text


@pytest.mark.parametrize("body", BODIES, ids=lambda body: repr(body[:30]))
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "plug/vip/192.0.2.10"), ("POST", "plug/network"), ("PUT", "interface/192.0.2.10/rules"), ("PUT", "certificate")],
)
def test_a_body(client: FlaskClient, method: str, path: str, body: bytes) -> None:
    answer = client.open(f"/1.0/{path}", method=method, data=body)
    if path.endswith("rules") and body == b"[]":
        assert answer.status_code == 200
    else:
        assert answer.status_code == 400
        assert answer.json is not None
        assert answer.json["message"] == "Invalid request"


@pytest.mark.parametrize("path", ["/nowhere", "/1.0", "/1.0/", "/2.0/info", "/1.0/info/", "/static/x", "/1.0/loadbalancer"])
def test_a_place_that_there_is_not(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.mimetype) == (404, "application/json")
    assert answer.json is not None
    assert answer.json["http_code"] == 404


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_a_method_that_there_is_not(client: FlaskClient, method: str) -> None:
    answer = client.open("/1.0/info", method=method)
    assert (answer.status_code, answer.mimetype) == (405, "application/json")
    assert "GET" in answer.headers["Allow"]


@pytest.mark.parametrize(
    ("method", "path", "limit"),
    [
        ("PUT", f"loadbalancer/{AMPHORA}/{LB}/haproxy", bodies.CONFIGURATION),
        ("PUT", f"listeners/{AMPHORA}/{LB}/udp_listener", bodies.CONFIGURATION),
        ("PUT", "vrrp/upload", bodies.CONFIGURATION),
        ("PUT", f"loadbalancer/{LB}/certificates/x.pem", bodies.CERTIFICATE),
        ("POST", "plug/network", bodies.DESCRIPTION),
        ("POST", "plug/vip/192.0.2.10", bodies.DESCRIPTION),
        ("PUT", "interface/192.0.2.10/rules", bodies.DESCRIPTION),
        ("PUT", "certificate", bodies.OWN),
        ("PUT", "config", bodies.OWN),
    ],
)
def test_a_body_that_is_too_large(client: FlaskClient, method: str, path: str, limit: int) -> None:
    answer = client.open(f"/1.0/{path}", method=method, data=b"x" * (limit + 1))
    assert answer.status_code == 400
    assert answer.json == {"error": f"400 Bad Request: the body is larger than the {limit} bytes that are allowed here", "http_code": 400}


def test_the_largest_body(tmp_path: Path) -> None:
    fake = FakeAgent(tmp_path)
    client = make_app(fake.agent).test_client()
    assert client.put("/1.0/vrrp/upload", data=b"x" * bodies.CONFIGURATION).status_code == 200


@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "x/y; charset=nonsense", "\x7f"]
)
def test_what_a_body_is_said_to_be_does_not_count(client: FlaskClient, content_type: str) -> None:
    answer = client.put("/1.0/vrrp/upload", data=b"a=1&b=2", headers={"Content-Type": content_type})
    assert answer.status_code == 200
    assert answer.headers["ETag"] == hashlib.md5(b"a=1&b=2").hexdigest()


def test_every_error_of_http_is_told_as_one_that_a_controller_understands() -> None:
    assert {understood(status) for status in range(300, 600)} == UNDERSTOOD
    assert [understood(status) for status in (308, 413, 414, 431, 501, 502)] == [400, 400, 400, 400, 500, 500]
