"""`hydria where`: what it is asked, what it answers, in words and in JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from hydria.cli import _run
from hydria.cli.output import Output

if TYPE_CHECKING:
    from pathlib import Path

GRAPH: dict[str, Any] = {
    "name": "lb",
    "vip_address": "192.0.2.1",
    "listeners": [
        {
            "name": "web",
            "protocol": "HTTP",
            "protocol_port": 80,
            "default_pool": {"name": "app"},
            "l7policies": [
                {"name": "no", "action": "REJECT", "rules": [{"type": "PATH", "compare_type": "STARTS_WITH", "value": "/no"}]},
                {
                    "name": "by host",
                    "action": "REDIRECT_TO_URL",
                    "redirect_url": "http://else.example/",
                    "rules": [{"type": "HOST_NAME", "compare_type": "EQUAL_TO", "value": "old.example"}],
                },
                {
                    "name": "by both",
                    "action": "REDIRECT_TO_POOL",
                    "redirect_pool": {"name": "one"},
                    "rules": [
                        {"type": "HEADER", "key": "X-A", "compare_type": "EQUAL_TO", "value": "b: c"},
                        {"type": "COOKIE", "key": "k", "compare_type": "EQUAL_TO", "value": "v=w"},
                    ],
                },
            ],
        },
        {
            "name": "tls",
            "protocol": "TERMINATED_HTTPS",
            "protocol_port": 443,
            "default_tls_container_ref": "site",
            "default_pool": {"name": "app"},
        },
    ],
    "pools": [
        {
            "name": "app",
            "protocol": "HTTP",
            "lb_algorithm": "SOURCE_IP",
            "members": [{"name": f"m{n}", "address": f"192.0.2.{n}", "protocol_port": 80} for n in (11, 12, 13)],
        },
        {
            "name": "one",
            "protocol": "HTTP",
            "lb_algorithm": "ROUND_ROBIN",
            "members": [{"name": "only", "address": "192.0.2.99", "protocol_port": 8080}],
        },
    ],
}


@pytest.fixture
def graph(tmp_path: Path) -> str:
    place = tmp_path / "graph.json"
    place.write_text(json.dumps({"loadbalancer": GRAPH}))
    return str(place)


@pytest.fixture
def ask(graph: str, capsys: pytest.CaptureFixture[str]) -> Any:
    def asked(*options: str) -> dict[str, Any]:
        assert _run(["where", graph, "--json", "--client", "10.0.0.1", *options], Output()) == 0
        answer: dict[str, Any] = json.loads(capsys.readouterr().out)
        return answer

    return asked


def test_the_request_is_the_one_described(ask: Any) -> None:
    web = ("--listener", "web")
    assert ask(*web, "--path", "/no/x?y")["outcome"] == "rejected"
    assert ask(*web, "--host", "OLD.example:80")["location"] == "http://else.example/"
    assert ask(*web, "--header", "Host=old.example")["location"] == "http://else.example/"
    for header in ("X-A=b: c", "x-a: b: c"):
        found = ask(*web, "--header", header, "--cookie", "z=1", "--cookie", "k=v=w")
        assert (found["pool"]["name"], found["member"]["object"]["name"]) == ("one", "only"), header
    assert ask(*web, "--cookie", "k=v=w")["pool"]["name"] == "app"


@pytest.mark.parametrize("option", [("--port", "443"), ("--listener", "443"), ("--listener", "tls")])
def test_a_listener_is_named_in_several_ways_and_secrets_do_not_matter(ask: Any, option: tuple[str, str]) -> None:
    found = ask(*option)
    assert (found["listener"]["name"], found["outcome"]) == ("tls", "pool")


def test_without_a_host_the_vip_is_asked_for(ask: Any) -> None:
    rules = [rule for policy in ask("--port", "80")["policies"] for rule in policy["rules"] if rule["rule"].startswith("HOST_NAME")]
    assert ["192.0.2.1" in rule["because"] for rule in rules] == [True]


def test_members_that_are_down_get_nobody(ask: Any) -> None:
    everybody = {f"m{n}" for n in (11, 12, 13)}
    chosen = ask("--port", "443")["member"]["object"]["name"]
    found = ask("--port", "443", "--down", chosen)
    assert {member["object"]["name"] for member in found["candidates"]} == everybody - {chosen}
    assert found["member"]["object"]["name"] != chosen


def test_an_ipv4_client_written_as_ipv6_is_the_ipv4_client(graph: str, ask: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(["where", graph, "--json", "--client", "::ffff:10.0.0.1", "--port", "443"], Output()) == 0
    assert json.loads(capsys.readouterr().out) == ask("--port", "443")


def test_a_person_is_told_each_step(graph: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(["where", graph, "--client", "10.0.0.1", "--port", "80", "--host", "old.example"], Output()) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "listener web  HTTP, port 80"
    assert lines[1:] == [
        "  no  REJECT no",
        '        no  PATH STARTS_WITH "/no": the path is "/"',
        "  yes REDIRECT_TO_URL by host",
        '        yes HOST_NAME EQUAL_TO "old.example": the host is "old.example"',
        "  -   REDIRECT_TO_POOL by both: not reached: a policy before it has decided",
        "redirected 302 to http://else.example/: the policy redirects the client",
    ]


def test_a_person_sees_the_member_that_is_chosen(graph: str, ask: Any, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = ask("--port", "443")["member"]
    assert _run(["where", graph, "--client", "10.0.0.1", "--port", "443"], Output()) == 0
    [line] = [line for line in capsys.readouterr().out.splitlines() if "→" in line]
    assert f"{chosen['object']['name']} {chosen['address']}:80" in line


def test_a_graph_with_problems_is_not_answered_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "graph.json"
    place.write_text(json.dumps({"loadbalancer": {**GRAPH, "pools": []}}))
    assert _run(["where", str(place), "--json", "--client", "10.0.0.1"], Output()) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is False
    assert "dangling-reference" in {problem["code"] for problem in answer["problems"]}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "several listeners could be meant; name one with --listener: web (HTTP 80), tls (TERMINATED_HTTPS 443)"),
        (["--listener", "wbe"], "there is no such listener"),
        (["--port", "80", "--path", "x"], "begins with /"),
        (["--port", "80", "--path", "/x#y"], "no #"),
        (["--port", "80", "--header", "X"], "NAME=VALUE is needed"),
        (["--port", "80", "--header", "X Y=1"], "NAME=VALUE is needed"),
        (["--port", "80", "--header", "X=\n"], "no control characters"),
        (["--port", "80", "--cookie", "a=b;c=d"], "semicolons"),
        (["--port", "80", "--host", "a", "--header", "host=b"], "given twice"),
        (["--port", "80", "--down", "m14"], "no member of this name"),
        (["--port", "80", "--client", "localhost"], "an IPv4 or IPv6 address is needed"),
    ],
)
def test_wrong_use_says_what_would_be_right(graph: str, capsys: pytest.CaptureFixture[str], options: list[str], words: str) -> None:
    assert _run(["where", graph, "--client", "10.0.0.1", *options], Output()) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert words in " ".join(said.err.split())
