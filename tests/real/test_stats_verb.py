"""`hydria stats` and `hydria top`, of a real HAProxy at its socket and of an agent over mutual TLS."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from support.graphs import listener, pool
from support.scripted_agent import AMPHORA, Pki, Reply, ScriptedAgent
from support.serving import serve

from agent import statistics
from agent.statistics import Row, Statistics
from hydria.cli import _run
from hydria.cli.output import Output
from hydria.cli.statistics import Flow, Line, Look, chosen, lines, summed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.serving import Serving

    from agent.haproxy import Haproxy


@pytest.fixture
def serving(haproxy: Haproxy) -> Iterator[Serving]:
    members: list[dict[str, Any]] = [
        {"name": "one", "address": "127.0.0.1", "protocol_port": 9, "weight": 3},
        {"name": "two", "address": "127.0.0.1", "protocol_port": 10, "backup": True},
    ]
    metrics = listener("metrics", None, protocol="PROMETHEUS")
    with serve(haproxy, [listener("web", "servers"), metrics], [pool("servers", *members)]) as running:
        yield running


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def run(*arguments: str | Path) -> tuple[int, str, str]:
        capsys.readouterr()
        code = _run([*map(str, arguments)], Output())
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_rows_are_what_haproxy_has_and_in_their_order(serving: Serving) -> None:
    serving.fetch("web", "/")
    found = {row.kind: row for row in statistics.read(serving.process.stats)}
    web = next(part.id for part in serving.graph.listeners if part.name == "web")
    rows = [row for row in statistics.read(serving.process.stats) if row.listener == web]
    assert [row.kind for row in rows] == ["listener", "pool", "member", "member"]
    assert rows[0].requests == 1
    assert (rows[0].status, rows[1].listener) == ("OPEN", web)
    assert [(row.weight, row.backup) for row in rows[2:]] == [(3, False), (1, True)]
    assert rows[2].errors > 0
    assert set(found) == {"listener", "pool", "member"}
    assert not any("prometheus" in row.id for row in statistics.read(serving.process.stats))


def test_a_table_for_a_person(serving: Serving, ask: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = ask("stats", serving.process.stats.path)
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == f"{serving.process.stats.path}: 2 listeners, 1 pool, 2 members, 0 down"
    assert [line.split()[1] for line in out.splitlines() if line.startswith("  pool ")] == [
        part.id for part in serving.graph.pools if part.name == "servers"
    ]
    assert "(backup)" in out
    assert not any(line.endswith(" ") for line in out.splitlines())


def test_csv_and_json_have_the_same(serving: Serving, ask: Callable[..., tuple[int, str, str]]) -> None:
    _, text, _ = ask("stats", serving.process.stats.path, "--csv", "--only", "member")
    rows = list(csv.DictReader(io.StringIO(text)))
    _, document, _ = ask("stats", serving.process.stats.path, "--json", "--only", "member")
    told = json.loads(document)
    assert told["ok"]
    assert [list(row) for row in rows] == [list(row) for row in told["rows"]]
    assert [row["id"] for row in rows] == [row["id"] for row in told["rows"]]
    assert {row["sessions_per_second"] for row in rows} == {""}


def test_what_happens_a_second(serving: Serving, ask: Callable[..., tuple[int, str, str]]) -> None:
    _, document, _ = ask("stats", serving.process.stats.path, "--json", "--over", "0.1")
    assert {row["requests_per_second"] for row in json.loads(document)["rows"]} == {0.0}


def test_top_goes_on_until_it_has_looked_often_enough(serving: Serving, ask: Callable[..., tuple[int, str, str]]) -> None:
    _, text, _ = ask("top", serving.process.stats.path, "--json", "--interval", "0.1", "-n", "3", "--sort", "errors")
    looks = [json.loads(line) for line in text.splitlines()]
    assert [look["rows"][0]["sessions_per_second"] for look in looks] == [None, 0.0, 0.0]
    _, text, _ = ask("top", serving.process.stats.path, "--csv", "--interval", "0.1", "-n", "2", "--only", "listener")
    assert len(text.splitlines()) == 1 + 2 * 2


def test_a_terminal_shows_one_table(serving: Serving) -> None:
    here, there = pty.openpty()
    command = [sys.executable, "-m", "hydria", "top", str(serving.process.stats.path), "--interval", "0.1", "-n", "2"]
    with subprocess.Popen(command, stdout=there, stderr=there, env={**os.environ, "TERM": "xterm", "COLUMNS": "200", "LINES": "50"}) as top:
        os.close(there)
        shown = b""
        try:
            while piece := os.read(here, 4096):
                shown += piece
        except OSError:  # the terminal's other end has gone
            pass
        os.close(here)
    assert top.returncode == 0
    assert b"requests/s" in shown
    assert b"\x1b[?25h" in shown, "the cursor is there again"


def test_what_is_no_socket_is_told(ask: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    code, _, err = ask("stats", tmp_path / "none")
    assert code == 3
    assert "No such file" in err
    assert ask("stats")[0] == 2
    assert ask("stats", "--agent", "127.0.0.1")[0] == 2


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


class TestAgent:
    ROWS = (
        Row(kind="listener", listener="web", id="web\x1b[31m", status="OPEN"),
        Row(kind="member", listener="web", id="one", status="DOWN"),
    )

    @pytest.mark.parametrize("problems", [[], ["load balancer x: it does not answer"]])
    def test_it_is_asked_over_mutual_tls(self, pki: Pki, ask: Callable[..., tuple[int, str, str]], problems: list[str]) -> None:
        with ScriptedAgent(pki.server_context()) as remote:
            told = msgspec.json.encode(Statistics(rows=list(self.ROWS), problems=problems))
            remote.reply = lambda request: Reply(content=told if request.path == "/2.0/statistics" else b"{}")
            who = ["--agent", f"127.0.0.1:{remote.port}", "--amphora", AMPHORA, "--ca", pki.ca, "--cert", pki.client]
            code, out, err = ask("stats", *who)
        assert code == (3 if problems else 0)
        assert "1 listener, 0 pools, 1 member, 1 down" in out
        assert "\x1b" not in out
        assert all(problem in err for problem in problems)


class TestFigures:
    BEFORE = Row(kind="member", listener="l", pool="p", id="m", status="UP", total=10, received=100, sent=1000)

    def look(self, moment: float, *rows: Row) -> Look:
        return Look(moment, Statistics(rows=list(rows)))

    def test_what_was_added_in_between_by_the_seconds(self) -> None:
        now = msgspec.structs.replace(self.BEFORE, total=30, received=300, sent=1000)
        (line,) = lines(self.look(1, self.BEFORE), self.look(3, now))
        assert line.flow == Flow(sessions=10, requests=0, received=100, sent=0)

    def test_counters_that_began_anew_tell_nothing(self) -> None:
        now = msgspec.structs.replace(self.BEFORE, total=3)
        assert lines(self.look(1, self.BEFORE), self.look(2, now))[0].flow is None
        assert lines(self.look(1), self.look(2, now))[0].flow is None
        assert lines(None, self.look(2, now))[0].flow is None

    def test_the_largest_first(self) -> None:
        found = [
            Line(msgspec.structs.replace(self.BEFORE, id=name, sessions=count), None) for name, count in (("b", 1), ("a", 5), ("c", 3))
        ]
        assert [line.row.id for line in chosen(found, (), "sessions")] == ["a", "c", "b"]
        assert [line.row.id for line in chosen(found, (), "id")] == ["a", "b", "c"]
        assert [line.row.id for line in chosen(found, (), None)] == ["b", "a", "c"]
        assert [line.row.id for line in chosen(found, (), "sent_per_second")] == ["b", "a", "c"]
        assert chosen(found, ("pool",), None) == []
        assert summed(found) == "0 listeners, 0 pools, 3 members, 0 down"
