"""HAProxy's statistics in the words of the graph."""

from __future__ import annotations

import io

from rich.console import Console

import compiler
from compiler.target import Target
from hydria.cli.traffic import Names, changes, rows
from hydria.cli.watching import picture, size

GRAPH = compiler.load("""
loadbalancer:
  vip_address: 192.0.2.1
  listeners:
    - {name: web, protocol: HTTP, protocol_port: 80, default_pool: {name: app}}
    - {protocol: TCP, protocol_port: 25, default_pool: {name: app}}
    - {name: "off", protocol: TCP, protocol_port: 26, admin_state_up: false}
  pools:
    - name: app
      protocol: HTTP
      lb_algorithm: ROUND_ROBIN
      members:
        - {name: one, address: 10.0.0.1, protocol_port: 8000}
        - {address: "fd00::2", protocol_port: 8000}
""")
WEB, MAIL, OFF = (listener.id for listener in GRAPH.listeners)
APP = GRAPH.pools[0].id
ONE, TWO = (member.id for member in GRAPH.pools[0].members)
NAMES = Names(GRAPH, Target())


def line(proxy: str, server: str, status: str = "UP", **columns: str) -> dict[str, str]:
    return {"pxname": proxy, "svname": server, "status": status, **columns}


def statistics(one: str = "UP", **columns: str) -> list[dict[str, str]]:
    return [
        line(WEB, "FRONTEND", "OPEN", scur="2", stot="10", bin="100", bout="200", ereq="3"),
        line(MAIL, "FRONTEND", "OPEN"),
        line(f"{APP}:{WEB}", ONE, one, weight="1", econ="1", eresp="2", **columns),
        line(f"{APP}:{WEB}", TWO, "no check", weight="1"),
        line(f"{APP}:{WEB}", "BACKEND", "UP"),
        line(f"{APP}:{MAIL}", ONE, "UP", weight="1"),
        line(f"{APP}:{MAIL}", TWO, "UP", weight="1"),
        line(f"{APP}:{MAIL}", "BACKEND", "UP"),
        line("prometheus", "FRONTEND", "OPEN"),
        line("other:backend", "server", "UP"),
    ]


def test_names_are_the_graph_s_or_where_a_thing_is() -> None:
    assert [NAMES.titles[key] for key in (WEB, MAIL, APP, ONE, TWO)] == ["web", "192.0.2.1:25", "app", "one", "[fd00::2]:8000"]
    assert NAMES.listeners == [WEB, MAIL]


def test_places_are_where_the_target_listens() -> None:
    names = Names(GRAPH, Target(bind_address="::1", port_offset=8000))
    assert names.places[WEB] == "[::1]:8080"


def test_rows_are_grouped_by_listener_and_pool_and_others_are_left_out() -> None:
    found = rows(statistics(), NAMES)
    assert [(row.kind, row.id, row.listener, row.pool) for row in found] == [
        ("listener", WEB, WEB, ""),
        ("pool", APP, WEB, APP),
        ("member", ONE, WEB, APP),
        ("member", TWO, WEB, APP),
        ("listener", MAIL, MAIL, ""),
        ("pool", APP, MAIL, APP),
        ("member", ONE, MAIL, APP),
        ("member", TWO, MAIL, APP),
    ]
    listener, _, member, unchecked = found[:4]
    assert (listener.sessions, listener.total, listener.received, listener.sent, listener.errors) == (2, 10, 100, 200, 3)
    assert (member.errors, member.weight, unchecked.status) == (3, 1, "no check")
    assert listener.weight is None


def test_a_change_is_told_once_with_its_reason() -> None:
    up = rows(statistics(), NAMES)
    assert [str(change) for change in changes([], up, NAMES)][:2] == [
        "member one of pool app: UP",
        "member [fd00::2]:8000 of pool app: no check",
    ]
    falling = rows(statistics("UP 1/3"), NAMES)
    assert list(changes(up, falling, NAMES)) == []
    down = rows(statistics("DOWN", check_status="* L4CON", check_desc="Layer4 connection problem", last_chk="Connection refused"), NAMES)
    assert [str(change) for change in changes(falling, down, NAMES)] == [
        "member one of pool app: UP → DOWN (L4CON: Layer4 connection problem: Connection refused)"
    ]
    rising = rows(statistics("DOWN 1/2"), NAMES)
    assert list(changes(down, rising, NAMES)) == []


def test_the_picture_shows_everything_and_no_markup_of_a_name_is_obeyed() -> None:
    down = rows(statistics("DOWN", last_chk="[red]refused\x1b[1m[/red]"), NAMES)
    page = io.StringIO()
    Console(file=page, width=100, force_terminal=False).print(picture(down))
    text = page.getvalue()
    assert "HTTP web" in text
    assert "192.0.2.1:80 " in text
    assert "[fd00::2]:8000" in text
    assert "one: [red]refused\\x1b[1m[/red]" in text
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 100


def test_sizes_are_for_people() -> None:
    assert [size(n) for n in (0, 999, 1536, 10 * 1024, 1024**2 * 20, 1024**3 * 3, 1024**5 * 2)] == [
        "0 B",
        "999 B",
        "1.5 KiB",
        "10 KiB",
        "20 MiB",
        "3.0 GiB",
        "2048.0 TiB",
    ]
