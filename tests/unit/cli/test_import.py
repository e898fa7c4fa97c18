"""`hydria import`: whatever the API and its client print, in any order and form, becomes the graph that it describes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import compiler
from hydria.cli import _run
from hydria.cli.output import Output
from hydria.imports import Joined, Piece, join

if TYPE_CHECKING:
    from collections.abc import Iterable

Thing = dict[str, Any]


def uuid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012}"


LB, WEB, PLAIN, APP, IMAGES, M1, M2, M3, MONITOR, POLICY, RULE, OTHER = map(uuid, range(1, 13))

STATUS: Thing = {
    "provisioning_status": "ACTIVE",
    "operating_status": "ONLINE",
    "project_id": "p",
    "created_at": "2026-01-01T10:11:12",
    "updated_at": None,
    "admin_state_up": True,
    "tags": [],
}

#: What the API shows of each object, by its type.
SHOWN: dict[str, list[Thing]] = {
    "loadbalancer": [
        {
            **STATUS,
            "id": LB,
            "name": "lb",
            "description": "",
            "vip_address": "192.0.2.1",
            "vip_subnet_id": None,
            "flavor_id": "",
            "provider": "amphora",
            "additional_vips": [{"ip_address": "2001:db8::1", "subnet_id": "s", "port_id": None}],
            "listeners": [{"id": WEB}, {"id": PLAIN}],
            "pools": [{"id": APP}, {"id": IMAGES}],
        }
    ],
    "listener": [
        {
            **STATUS,
            "id": WEB,
            "name": "web",
            "protocol": "HTTP",
            "protocol_port": 80,
            "connection_limit": -1,
            "default_pool_id": APP,
            "default_tls_container_ref": None,
            "sni_container_refs": [],
            "insert_headers": {"X-Forwarded-For": "true", "X-Forwarded-Port": "false"},
            "allowed_cidrs": ["10.0.0.0/8", "2001:db8::/32"],
            "timeout_client_data": 50000,
            "l7policies": [{"id": POLICY}],
            "loadbalancers": [{"id": LB}],
        },
        {**STATUS, "id": PLAIN, "name": "", "protocol": "TCP", "protocol_port": 81, "default_pool_id": None, "loadbalancers": [{"id": LB}]},
    ],
    "pool": [
        {
            **STATUS,
            "id": APP,
            "name": "app",
            "protocol": "HTTP",
            "lb_algorithm": "ROUND_ROBIN",
            "session_persistence": {"type": "APP_COOKIE", "cookie_name": "k", "persistence_timeout": None, "persistence_granularity": None},
            "healthmonitor_id": MONITOR,
            "members": [{"id": M1}, {"id": M2}],
            "tls_enabled": False,
            "loadbalancers": [{"id": LB}],
            "listeners": [{"id": WEB}],
        },
        {
            **STATUS,
            "id": IMAGES,
            "name": "images",
            "protocol": "HTTP",
            "lb_algorithm": "SOURCE_IP",
            "session_persistence": None,
            "healthmonitor_id": None,
            "members": [{"id": M3}],
            "loadbalancers": [{"id": LB}],
            "listeners": [],
        },
    ],
    "member": [
        {**STATUS, "id": M1, "name": "one", "address": "192.0.2.11", "protocol_port": 80, "weight": 1, "backup": False, "subnet_id": None},
        {**STATUS, "id": M2, "name": "two", "address": "192.0.2.12", "protocol_port": 80, "weight": 0, "backup": True, "monitor_port": 81},
        {**STATUS, "id": M3, "name": "yes", "address": "2001:db8::13", "protocol_port": 80, "weight": 5},
    ],
    "healthmonitor": [
        {
            **STATUS,
            "id": MONITOR,
            "name": "",
            "type": "HTTP",
            "delay": 10,
            "timeout": 5,
            "max_retries": 1,
            "max_retries_down": 3,
            "expected_codes": "200",
            "http_version": 1.1,
            "url_path": "/",
            "pools": [{"id": APP}],
        }
    ],
    "l7policy": [
        {
            **STATUS,
            "id": POLICY,
            "name": "p",
            "action": "REDIRECT_TO_POOL",
            "redirect_pool_id": IMAGES,
            "redirect_url": None,
            "redirect_http_code": None,
            "position": 1,
            "rules": [{"id": RULE}],
            "listener_id": WEB,
        }
    ],
    "rule": [
        {**STATUS, "id": RULE, "type": "PATH", "compare_type": "STARTS_WITH", "key": None, "value": "123", "invert": False},
    ],
}

EXPECTED = {
    "loadbalancer": {
        "id": LB,
        "name": "lb",
        "vip_address": "192.0.2.1",
        "provider": "amphora",
        "additional_vips": [{"ip_address": "2001:db8::1", "subnet_id": "s"}],
        "listeners": [
            {
                "id": WEB,
                "name": "web",
                "protocol": "HTTP",
                "protocol_port": 80,
                "default_pool_id": APP,
                "insert_headers": {"X-Forwarded-For": "true", "X-Forwarded-Port": "false"},
                "allowed_cidrs": ["10.0.0.0/8", "2001:db8::/32"],
                "l7policies": [
                    {
                        "id": POLICY,
                        "name": "p",
                        "action": "REDIRECT_TO_POOL",
                        "redirect_pool_id": IMAGES,
                        "position": 1,
                        "rules": [{"id": RULE, "type": "PATH", "compare_type": "STARTS_WITH", "value": "123"}],
                    }
                ],
            },
            {"id": PLAIN, "protocol": "TCP", "protocol_port": 81},
        ],
        "pools": [
            {
                "id": APP,
                "name": "app",
                "protocol": "HTTP",
                "lb_algorithm": "ROUND_ROBIN",
                "session_persistence": {"type": "APP_COOKIE", "cookie_name": "k"},
                "members": [
                    {"id": M1, "name": "one", "address": "192.0.2.11", "protocol_port": 80},
                    {
                        "id": M2,
                        "name": "two",
                        "address": "192.0.2.12",
                        "protocol_port": 80,
                        "weight": 0,
                        "backup": True,
                        "monitor_port": 81,
                    },
                ],
                "healthmonitor": {
                    "id": MONITOR,
                    "type": "HTTP",
                    "delay": 10,
                    "timeout": 5,
                    "max_retries": 1,
                    "expected_codes": "200",
                    "http_version": 1.1,
                    "url_path": "/",
                },
            },
            {
                "id": IMAGES,
                "name": "images",
                "protocol": "HTTP",
                "lb_algorithm": "SOURCE_IP",
                "members": [{"id": M3, "name": "yes", "address": "2001:db8::13", "protocol_port": 80, "weight": 5}],
            },
        ],
    }
}

PLURALS = {"l7policy": "l7policies"}


def as_body(kind: str, thing: Thing) -> Thing:
    """`GET /v2/lbaas/…/<id>`."""
    return {kind: thing}


def as_list(kind: str, things: list[Thing]) -> Thing:
    """`GET /v2/lbaas/…`."""
    plural = PLURALS.get(kind, f"{kind}s")
    return {plural: things, f"{plural}_links": []}


def as_client(thing: Thing, *, numbers_as_text: bool = False) -> Thing:
    """`openstack loadbalancer … show -f json`: lists and mappings as lines of text."""

    def shown(key: str, value: Any) -> Any:
        if isinstance(value, list) and key != "additional_vips":
            return "\n".join(item["id"] if isinstance(item, dict) else item for item in value)
        if key == "additional_vips":
            return "\n".join(", ".join(f"{name}={item}" for name, item in vip.items()) for vip in value)
        if isinstance(value, dict):
            return "\n".join(f"{name}={item}" for name, item in value.items())
        if key == "default_tls_container_ref" and value is None:
            return ""
        if numbers_as_text and isinstance(value, int):
            return str(value)
        return value

    return {key: shown(key, value) for key, value in thing.items()}


def graph_of(joined: Joined) -> compiler.LoadBalancer:
    assert joined.problems == []
    return compiler.load(json.dumps(joined.graph))


def documents(form: str) -> list[Any]:
    if form == "lists":
        return [as_list(kind, things) for kind, things in SHOWN.items()]
    if form == "bodies":
        return [as_body(kind, thing) for kind, things in SHOWN.items() for thing in things]
    return [as_client(thing, numbers_as_text=form == "client, numbers as text") for things in SHOWN.values() for thing in things]


FORMS = ["lists", "bodies", "client", "client, numbers as text"]


@pytest.mark.parametrize("form", FORMS)
@given(data=st.data())
def test_every_form_in_any_order_is_the_same_graph(form: str, data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(documents(form)))
    found = graph_of(join(Piece("x", document) for document in shuffled))
    expected = compiler.load(json.dumps(EXPECTED))
    assert sorted(found.listeners, key=lambda part: part.id) == list(expected.listeners)
    assert sorted(found.pools, key=lambda part: part.id) == list(expected.pools)
    assert (found.id, found.vip_address, found.additional_vips) == (expected.id, expected.vip_address, expected.additional_vips)


def test_the_order_is_that_of_who_refers_to_them() -> None:
    assert graph_of(join(Piece("x", document) for document in documents("client"))) == compiler.load(json.dumps(EXPECTED))


@pytest.mark.parametrize("kind", [kind for kind in SHOWN if kind != "loadbalancer"])
def test_what_is_missing_is_told_by_its_id(kind: str) -> None:
    wanted = SHOWN[kind][-1]["id"]
    pieces = [Piece("x", thing) for things in SHOWN.values() for thing in map(as_client, things) if thing["id"] != wanted]
    problems = join(pieces).problems
    assert problems
    # Whose owner is missing can only say that.
    consequences = [problem for problem in problems if problem.object and problem.object.id == RULE]
    told = [problem for problem in problems if problem not in consequences]
    assert {problem.code for problem in problems} == {"dangling-reference"}
    assert told
    assert all(wanted in problem.message for problem in told)
    assert all(problem.hint and " show " in problem.hint and wanted in problem.hint for problem in told)
    assert bool(consequences) is (kind == "l7policy")


def test_without_or_with_two_load_balancers_there_is_no_graph() -> None:
    second = {**SHOWN["loadbalancer"][0], "id": OTHER}
    for pieces in ([], [SHOWN["loadbalancer"][0], second]):
        joined = join(Piece("x", piece) for piece in pieces)
        assert joined.graph is None
        assert [problem.code for problem in joined.problems] == ["not-a-load-balancer"]


def without(thing: Thing, *keys: str) -> Thing:
    return {key: value for key, value in thing.items() if key not in keys}


def untold(names: Iterable[str] = ()) -> list[Piece]:
    """Everything but the members, and pools that do not say which they have."""
    kept = [Piece("x", thing) for kind, things in SHOWN.items() if kind not in ("member", "pool") for thing in things]
    return kept + [Piece("x", without(thing, "members", *names)) for thing in SHOWN["pool"]]


def test_members_belong_to_the_pool_in_the_name_of_their_file() -> None:
    lists = [Piece(f"members-{APP}.json", SHOWN["member"][:2]), Piece(f"members-{IMAGES}.json", SHOWN["member"][2:])]
    assert graph_of(join(untold() + lists)) == compiler.load(json.dumps(EXPECTED))


def test_members_belong_to_the_pool_that_is_said() -> None:
    lists = [Piece("a.json", SHOWN["member"][:2]), Piece(f"{IMAGES}.json", SHOWN["member"][2:])]
    assert graph_of(join(untold() + lists, {"member": APP})) == compiler.load(json.dumps(EXPECTED))


def test_members_that_nobody_places_are_problems() -> None:
    problems = join([*untold(), Piece("x", SHOWN["member"])]).problems
    assert [problem.object.id for problem in problems if problem.object] == [M1, M2, M3]
    assert all("--pool" in (problem.hint or "") for problem in problems)


def test_objects_of_other_load_balancers_are_left_out() -> None:
    others = [
        {**SHOWN["listener"][1], "id": OTHER, "loadbalancers": [{"id": uuid(99)}]},
        without({**SHOWN["pool"][0], "id": uuid(98), "members": []}, "loadbalancers", "listeners", "healthmonitor_id"),
    ]
    joined = join(Piece("x", document) for document in [*documents("bodies"), *others])
    assert joined.others == 2
    assert graph_of(joined) == compiler.load(json.dumps(EXPECTED))


def test_a_list_and_a_show_of_one_object_complete_each_other() -> None:
    listed = [{"id": M1, "name": "one", "project_id": "p", "provisioning_status": "ACTIVE"}]
    pieces = [Piece("x", {"members": listed}), *(Piece("x", document) for document in documents("bodies")), Piece("x", {"members": listed})]
    assert graph_of(join(pieces)) == compiler.load(json.dumps(EXPECTED))


@pytest.mark.parametrize(
    ("document", "words"), [(1, "1 given"), ({"a": 1}, "of the fields a is none"), ({"listener": {"protocol": "HTTP"}}, "without an id")]
)
def test_what_is_none_of_the_apis_is_told(document: Any, words: str) -> None:
    problems = join([*(Piece("x", document) for document in documents("bodies")), Piece("odd.json", document)]).problems
    assert [problem.message for problem in problems if "odd.json" in problem.message and words in problem.message]


def written(directory: Path) -> list[str]:
    """The client's output in files: one object each, one with several documents one after the other."""
    stream = directory / "all.json"
    stream.write_text("\n".join(json.dumps(as_client(thing), indent=2) for kind in ("pool", "member", "rule") for thing in SHOWN[kind]))
    names = [str(stream)]
    for kind in ("l7policy", "healthmonitor", "listener", "loadbalancer"):
        for number, thing in enumerate(SHOWN[kind]):
            place = directory / f"{kind}{number}.json"
            place.write_text(json.dumps(as_client(thing)))
            names.append(str(place))
    return names


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_the_command_writes_a_graph_that_the_command_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str]) -> None:
    assert _run(["import", *options, *written(tmp_path)], Output()) == 0
    text = capsys.readouterr().out
    assert compiler.load(text) == compiler.load(json.dumps(EXPECTED))
    assert text.startswith("{") is bool(options)
    (tmp_path / "graph").write_text(text)
    assert _run(["check", str(tmp_path / "graph")], Output()) == 0
    assert _run(["import", str(tmp_path / "graph")], Output()) == 0
    assert compiler.load(capsys.readouterr().out.partition("\n")[2]) == compiler.load(json.dumps(EXPECTED)), "a graph imports as itself"


def test_the_yaml_keeps_texts_that_look_like_something_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(["import", *written(tmp_path)], Output()) == 0
    graph = yaml.safe_load(capsys.readouterr().out)["loadbalancer"]
    assert graph["listeners"][0]["l7policies"][0]["rules"][0]["value"] == "123"
    assert graph["pools"][1]["members"][0]["name"] == "yes"


@pytest.mark.parametrize(
    ("text", "words"),
    [("{", "this is not JSON"), ('{"a": 1} x', "this is not JSON"), ("a: [", "this is not YAML"), ("[" * 200_000, "nested too deeply")],
)
def test_a_file_that_cannot_be_read_is_a_problem_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, words: str
) -> None:
    (tmp_path / "bad.json").write_text(text)
    assert _run(["import", *written(tmp_path), str(tmp_path / "bad.json")], Output()) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert f"bad.json: {words}" in said.err


def test_what_load_would_refuse_is_told_and_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "member.json").write_text(json.dumps({**SHOWN["member"][0], "weight": 999, "invented": 1}))
    assert _run(["import", "--json", *written(tmp_path), str(tmp_path / "member.json")], Output()) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is False
    assert {problem["code"] for problem in answer["problems"]} == {"invalid-value", "unknown-field"}
