"""`hydria plan`: what it is asked, what it answers, in words, in JSON and as a chart."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

import pytest

from hydria.cli import _run
from hydria.cli.output import Output
from hydria.cli.sampling import drawn, listed
from hydria.lab.certificates import Authority

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def graph(*members: str, **pool: Any) -> dict[str, Any]:
    return {
        "name": "lb",
        "vip_address": "198.51.100.1",
        "listeners": [
            {"name": "web", "protocol": "HTTP", "protocol_port": 80, "default_pool": {"name": "app"}},
            {"name": "other", "protocol": "HTTP", "protocol_port": 81, "default_pool": {"name": "turns"}},
        ],
        "pools": [
            {
                "name": "app",
                "protocol": "HTTP",
                "lb_algorithm": "SOURCE_IP",
                "members": [{"name": name, "address": f"192.0.2.{int(name[1:])}", "protocol_port": 80} for name in members],
                **pool,
            },
            {"name": "turns", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN", "members": []},
        ],
    }


OLD, NEW = graph("m1", "m2", "m3", "m4"), graph("m1", "m2", "m4")


class Told:
    """What the command answered."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = " ".join(err.split())
        lines = [line.strip() for line in out.splitlines()]
        clients = lines.index("clients:") if "clients:" in lines else -1
        self.change, self.lines = lines[: max(clients, 0)], lines[clients + 1 :]


@pytest.fixture
def plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Told]:
    def run(*options: str, old: dict[str, Any] = OLD, new: dict[str, Any] = NEW) -> Told:
        names = []
        for name, described in (("old", old), ("new", new)):
            (tmp_path / f"{name}.json").write_text(json.dumps({"loadbalancer": described}))
            names.append(str(tmp_path / f"{name}.json"))
        code = _run(["plan", *names, *options], Output())
        said = capsys.readouterr()
        return Told(code, said.out, said.err)

    return run


def test_a_person_is_told_who_moves_and_why(plan: Callable[..., Told]) -> None:
    told = plan()
    assert told.code == 0
    assert told.lines[:3] == ["pool app  behind web", "HAProxy's consistent hash of the client's address", "because: gone: m3"]
    assert told.lines[3].endswith("of 1,000,000 clients move; no algorithm could move fewer than 25.0%")
    assert told.lines[5].split() == ["member", "where", "before", "after", "due"]
    assert [line.split()[0] for line in told.lines[6:10]] == ["m1", "m2", "m4", "m3"]
    assert told.lines[9].split()[3:] == ["-", "-"]
    assert told.lines[10:] == ["1 pool is not hashed: each connection is decided anew"]
    assert "so members keep their server ids; --fresh" in told.err
    assert plan().out == told.out


def test_a_program_is_told_the_same(plan: Callable[..., Told]) -> None:
    answer = json.loads(plan("--json", "--sample", "20000").out)
    [pool] = answer["pools"]
    [case] = pool["cases"]
    assert (answer["ok"], answer["clients"], answer["drawn"], answer["fresh"]) == (True, {"IPv4": 20000}, True, False)
    assert [ref["name"] for ref in answer["not_hashed"]] == ["turns"]
    loads = {load["object"]["name"]: (load["before"], load["after"]) for load in case["members"]}
    assert case["moved"] == loads["m3"][0] == 20000 * case["share"]
    assert sum(before for before, _ in loads.values()) == sum(after or 0 for _, after in loads.values()) == 20000
    assert case["least_share"] == pytest.approx(0.25)
    assert case["balance_before"] == pytest.approx(max(before for before, _ in loads.values()) / 5000)
    assert (answer["old"]["problems"], answer["new"]["problems"]) == ([], [])


def test_a_person_is_told_what_changes_and_how(plan: Callable[..., Told]) -> None:
    new = graph("m1", "m2", "m5", session_persistence={"type": "HTTP_COOKIE"})
    new["listeners"][0]["connection_limit"] = 100
    new["pools"][0]["members"][1]["weight"] = 7
    told = plan(new=new)
    assert told.change[:10] == [
        "changes: 1 to add, 3 to change, 2 to remove",
        "~ listener web  HTTP :80",
        "connection_limit: -1 → 100",
        "~ pool app  HTTP SOURCE_IP",
        'session_persistence: - → {"type": "HTTP_COOKIE"}',
        "~ member m2  192.0.2.2:80",
        "weight: 1 → 7",
        "+ member m5  192.0.2.5:80",
        "- member m3  192.0.2.3:80",
        "- member m4  192.0.2.4:80",
    ]
    assert told.change[10] == "way: a reload: a new worker takes over, the old one goes when its connections have ended"
    assert all(line.startswith("because: backend ") for line in told.change[11:])


def test_a_member_alone_needs_no_reload(plan: Callable[..., Told]) -> None:
    told = plan()
    assert told.change[:4] == [
        "changes: 1 to remove",
        "pool app",
        "- member m3  192.0.2.3:80",
        "way: commands to the running HAProxy, without a reload",
    ]
    assert any(line.startswith("command: del server ") for line in told.change)
    assert plan(new=OLD).change == ["changes: none", "way: nothing: what runs is what is wanted"]
    answer = json.loads(plan("--json").out)
    assert (answer["way"], answer["reasons"], answer["changes"][0]["action"]) == ("runtime", [], "remove")
    assert answer["changes"][0]["object"]["name"] == "m3"
    assert answer["commands"][-1].startswith("del server ")


def test_an_upgrade_is_a_restart(plan: Callable[..., Told]) -> None:
    told = plan("--old-target", "haproxy=2.8.5", "--target", "haproxy=3.0.11")
    assert told.change[-2:] == ["way: a restart: connections are ended", "because: haproxy: process: 2.8.5 becomes 3.0.11"]


def test_the_way_may_depend_on_secrets(plan: Callable[..., Told], tmp_path: Path) -> None:
    new = graph("m1")
    new["listeners"][0] |= {"protocol": "TERMINATED_HTTPS", "default_tls_container_ref": "web"}
    told = plan(new=new)
    assert (told.code, told.change[-1]) == (0, "way: cannot be told without the secrets: --secrets DIR")
    assert json.loads(plan("--json", new=new).out)["way"] is None
    certificate = Authority("test").server("web.example")
    (tmp_path / "web.pem").write_bytes(certificate.bundle_pem)
    told = plan("--secrets", str(tmp_path), new=new)
    assert "way: a reload: a new worker takes over, the old one goes when its connections have ended" in told.change


def test_of_very_many_changes_some_are_shown(plan: Callable[..., Told]) -> None:
    many = graph(*(f"m{number}" for number in range(1, 31)))
    short, long = plan("--sample", "1000", new=many), plan("--sample", "1000", "--all", new=many)
    assert "and 6 more (--all shows them)" in short.change
    assert sum(line.startswith("+ member") for line in long.change) == 26


def test_no_control_character_comes_through(plan: Callable[..., Told]) -> None:
    told = plan(new=graph("m1", description="\x1b[31mred"))
    assert "\x1b" not in told.out
    assert "description: " in "".join(told.change)


def test_an_upgrade_is_planned_with_two_targets(plan: Callable[..., Told]) -> None:
    told = plan("--old-target", "haproxy=2.8.5", "--target", "haproxy=3.0.11", new=OLD)
    assert "none of 1,000,000 clients moves" in told.out
    assert "different points" not in told.out
    open_version = plan("--old-target", "haproxy=2.8.5", "--target", "haproxy=3.0", new=OLD)
    assert "because: HAProxy 2.8.5 and 3.0 may make different points of the same server ids" in open_version.out
    [share] = [float(line.split("%")[0]) for line in open_version.lines if "clients move;" in line]
    assert share > 60


def test_all_shows_every_pool_and_member(plan: Callable[..., Told]) -> None:
    many = graph(*(f"m{number}" for number in range(1, 31)))
    short, long = plan("--sample", "1000", old=many, new=many), plan("--sample", "1000", "--all", old=many, new=many)
    assert "and 10 more (--all shows them)" in short.lines
    assert [f"m{number}" in long.out for number in (20, 21, 30)] == [True] * 3
    assert " m21 " not in short.out
    assert "pool turns: not hashed: each connection is decided anew" in long.lines


def test_a_list_of_clients_is_counted_as_it_is(plan: Callable[..., Told], tmp_path: Path) -> None:
    (tmp_path / "clients").write_text("# ours\n10.0.0.1\n\n10.0.0.2 # twice\r\n::ffff:10.0.0.2\n2001:db8::1\n")
    told = plan("--json", "--clients", str(tmp_path / "clients"))
    answer = json.loads(told.out)
    assert (answer["clients"], answer["drawn"]) == ({"IPv4": 3}, False)
    assert sum(load["before"] for load in answer["pools"][0]["cases"][0]["members"]) == 3
    assert "1 addresses do not count, as the VIPs are IPv4 only" in plan("--clients", str(tmp_path / "clients")).err


def test_a_chart_shows_each_member_before_and_after(plan: Callable[..., Told], tmp_path: Path) -> None:
    picture = tmp_path / "loads.svg"
    odd = graph("m1", "m2", "m3", name="<a&b>\x07", lb_algorithm="SOURCE_IP")
    odd["listeners"][0]["default_pool"]["name"] = odd["pools"][0]["name"]
    assert plan("--chart", str(picture), "--sample", "5000", old=odd, new=odd).code == 0
    root = ET.fromstring(picture.read_text(encoding="utf-8"))
    name = "{http://www.w3.org/2000/svg}"
    bars = [rect for rect in root.iter(f"{name}rect") if rect.get("class") in ("before", "after")]
    assert len(bars) == 2 + 2 * 3
    assert "pool <a&b>\\x07" in [text.text for text in root.iter(f"{name}text")]
    assert [path.name for path in tmp_path.iterdir() if "loads" in path.name] == ["loads.svg"]
    plan("--chart", str(picture))
    widths = [float(rect.get("width", "0")) for rect in ET.parse(picture).iter(f"{name}rect") if rect.get("height") == "10"]
    assert max(widths) <= 440
    assert len(widths) == 2 + 4 + 3


def test_listeners_that_lead_elsewhere_are_named(plan: Callable[..., Told]) -> None:
    new = json.loads(json.dumps(OLD))
    new["listeners"][0]["default_pool"] = {"name": "turns"}
    assert plan(new=new).lines[0] == "listener web: its default pool was app, is turns"


def test_problems_of_both_graphs_are_told(plan: Callable[..., Told]) -> None:
    bad, worse = graph("m1", "m1"), {**OLD, "pools": []}
    told = plan(old=bad, new=worse)
    assert (told.code, told.out) == (1, "")
    assert "old.json" in told.err
    assert "[dangling-reference]" in told.err
    answer = json.loads(plan("--json", old=bad, new=worse).out)
    assert (answer["ok"], answer["old"]["ok"], answer["new"]["ok"]) == (False, False, False)
    one = json.loads(plan("--json", new=worse).out)
    assert (one["ok"], one["old"]["ok"], one["new"]["ok"]) == (False, True, False)


def test_warnings_do_not_stop_a_plan(plan: Callable[..., Told]) -> None:
    empty = graph()
    told = plan(old=empty, new=OLD)
    assert told.code == 0
    assert "100.0% of 1,000,000 clients move; no algorithm could move fewer than 100.0%" in told.out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--sample", "0"], "--sample"),
        (["--sample", "10", "--clients", "{good}"], "cannot go with --clients"),
        (["--clients", "{bad}"], "line 2: '10.0.0.x' given; an IPv4 or IPv6 address is needed"),
        (["--clients", "{six}"], "holds no IPv4 address, and the VIPs are IPv4"),
        (["--chart", "x.png"], "its name ends in .svg"),
        (["--chart", "{folder}"], "is not a regular file"),
        (["--old-target", "haproxy=2.0"], "2.6 is the oldest supported"),
        (["--target", "haproxy=x"], "a version such as"),
        (["--agent", "192.0.2.1"], "--agent goes with NEW alone"),
        (["{good}"], "3 graphs given"),
    ],
)
def test_wrong_use_says_what_would_be_right(plan: Callable[..., Told], tmp_path: Path, options: list[str], words: str) -> None:
    files = {"good": "10.0.0.1\n", "bad": "10.0.0.1\n10.0.0.x\n", "six": "::1\n"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "folder.svg").mkdir()
    places = {name: str(tmp_path / name) for name in files} | {"folder": str(tmp_path / "folder.svg")}
    told = plan(*(option.format(**places) for option in options))
    assert (told.code, told.out) == (2, "")
    assert words in told.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "one graph given; OLD and NEW are needed, or NEW and --agent"),
        (["--fresh"], "--fresh is for OLD and NEW"),
        (["--agent", "192.0.2.1"], "--agent needs --amphora, --ca and --cert"),
    ],
)
def test_one_graph_is_for_agents(tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], words: str) -> None:
    (tmp_path / "new.json").write_text(json.dumps({"loadbalancer": NEW}))
    assert _run(["plan", str(tmp_path / "new.json"), *options], Output()) == 2
    assert words in " ".join(capsys.readouterr().err.split())


def test_one_graph_may_come_from_standard_input_not_both(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(["plan", "-", "-"], Output()) == 2
    assert "only one of the graphs can come from standard input" in " ".join(capsys.readouterr().err.split())


def test_a_chart_that_cannot_be_written_is_the_systems_failure(plan: Callable[..., Told], tmp_path: Path) -> None:
    told = plan("--chart", str(tmp_path / "no" / "x.svg"))
    assert told.code == 3
    assert "No such file" in told.err


def test_drawn_clients_are_always_the_same_and_as_many_as_wanted() -> None:
    first, again = drawn(1001, (4, 6)), drawn(1001, (4, 6))
    assert first == again
    assert {family: (len(clients.addresses), len(clients.ports)) for family, clients in first.items()} == {
        4: (4 * 501, 501),
        6: (16 * 500, 500),
    }
    assert all(32768 <= port <= 65535 for clients in first.values() for port in clients.ports)
    # Recorded, for a plan of yesterday to compare with one of today, on any Python.
    assert first[4].addresses.hex().startswith("d7a56d3cfcf9a44dc716691acdaba1b8")


def test_a_list_is_read_by_family(tmp_path: Path) -> None:
    (tmp_path / "clients").write_text("10.0.0.1\n2001:db8::1\n::10.0.0.1\n")
    found = listed(tmp_path / "clients", (6,))
    assert found.others == 1
    assert found.sample[6].addresses.hex() == "20010db8000000000000000000000001" + "0000000000000000000000000a000001"
