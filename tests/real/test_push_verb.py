"""`hydria push`, `try`, `confirm`, `rollback`, `status`, `drain` and `plan --agent`, through real agents that run real HAProxies."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import uuid
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.agents import Cloud, Trust
from support.driven import Driven, member_id
from support.polling import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _pytest.capture import CaptureResult

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def made() -> Iterator[Driven]:
    with tempfile.TemporaryDirectory(prefix="h", dir="/tmp") as directory, ExitStack() as stack:
        yield Driven(stack, Path(directory))


@pytest.fixture
def site(made: Driven) -> Iterator[Driven]:
    made.lb = str(uuid.uuid4())
    yield made
    made.call("delete_loadbalancer")


class Said:
    """What the command answered."""

    def __init__(self, code: int, said: CaptureResult[str]) -> None:
        self.code = code
        self.out = said.out
        self.err = " ".join(said.err.split())
        self.lines = [line.strip() for line in said.out.splitlines()]

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Asked:
    def __init__(self, site: Driven, capsys: pytest.CaptureFixture[str]) -> None:
        self._site = site
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Said:
        self._capsys.readouterr()
        code = self._site.hydria(*arguments)
        return Said(code, self._capsys.readouterr())


@pytest.fixture
def hydria(site: Driven, capsys: pytest.CaptureFixture[str]) -> Asked:
    return Asked(site, capsys)


def test_a_graph_is_planned_pushed_changed_and_rolled_back(site: Driven, hydria: Asked) -> None:
    planned = hydria("plan", site.file(1, 1))
    assert (planned.code, planned.err) == (0, "")
    assert planned.lines[0].endswith("there is no such load balancer yet")
    assert "+ listener web  HTTP :8080" in planned.lines
    assert planned.lines[-1] == "way: a start: HAProxy does not run yet"

    pushed = hydria("push", site.file(1, 1))
    assert (pushed.code, pushed.err) == (0, "")
    assert f"amphora {site.amphora.id} at 127.0.0.1:9443: started; generation 1 serves" in pushed.out
    assert site.serves()

    planned = hydria("push", "--dry-run", site.file(5, 1, 1))
    place = f"{site.members[0].address}:{site.members[0].port}"
    assert planned.lines[1:5] == ["changes: 1 to add, 1 to change", "pool pool", f"~ member m0  {place}", "weight: 1 → 5"]
    assert "way: commands to the running HAProxy, without a reload" in planned.lines
    assert "clients:" in planned.lines
    assert site.weights() == [1, 1]

    changed = hydria("push", site.file(5, 1, 1))
    assert "changed without a reload; generation 2 serves" in changed.out
    assert "nothing to do; generation 2 serves" in hydria("push", site.file(5, 1, 1)).out
    reloaded = hydria("push", site.file(5, 1, 1, port=8081))
    assert "reloaded; generation 3 serves" in reloaded.out
    assert any(line.startswith("because: ") and "bind" in line for line in reloaded.lines)

    assert "generation 4 serves" in hydria("rollback").out
    assert "generation 5 serves" in hydria("rollback", "--to", "1", "--lb", site.file(1)).out
    assert site.weights() == [1, 1]


def test_programs_are_told_the_same(site: Driven, hydria: Asked) -> None:
    planned = hydria("plan", site.file(1, 1), "--json").json
    [there] = planned["agents"]
    assert (planned["ok"], planned["loadbalancer"], there["amphora"], there["way"]) == (True, site.lb, site.amphora.id, "start")
    assert [change["object"]["type"] for change in there["changes"]] == ["loadbalancer", "listener", "pool", "member", "member"]
    pushed = hydria("push", site.file(1, 1), "--json").json
    assert (pushed["ok"], pushed["agents"][0]["way"], pushed["agents"][0]["generation"]) == (True, "start", 1)
    tag = pushed["agents"][0]["etag"]
    assert hydria("push", site.file(2, 1), "--json", "--if-match", tag.strip('"')).json["agents"][0]["way"] == "runtime"
    late = hydria("push", site.file(3, 1), "--json", "--if-match", tag)
    assert (late.code, late.json["ok"], late.json["error"]["code"]) == (3, False, "precondition-failed")
    assert hydria("rollback", "--json").json["agents"][0]["generation"] == 3
    status = hydria("status", "--json", "--history").json
    [lb] = status["agents"][0]["loadbalancers"]
    assert (lb["state"], lb["generation"], [one["number"] for one in lb["generations"]]) == ("ACTIVE", 3, [3, 2, 1])


def test_problems_are_told_with_their_places(site: Driven, hydria: Asked) -> None:
    graph = json.loads(site.graph(1, 1))
    listener = graph["loadbalancer"]["listeners"][0]
    listener |= {"protocol": "TERMINATED_HTTPS", "default_tls_container_ref": "nowhere"}
    path = site.directory / "bad.json"
    path.write_text(json.dumps(graph, indent=1))
    for verb in ("push", "try", "plan"):
        refused = hydria(verb, str(path))
        assert (refused.code, refused.out) == (1, "")
        assert "[unknown-secret]" in refused.err
        assert "bad.json:" in refused.err
        answer = hydria(verb, str(path), "--json").json
        assert (answer["ok"], answer["errors"]) == (False, 1)
        assert answer["problems"][0]["line"] > 1
    path.write_text("loadbalancer: {vip_address: 192.0.2.1, frobnicate: 1}")
    refused = hydria("push", str(path))
    assert (refused.code, "[unknown-field]" in refused.err) == (1, True)
    assert site.lb not in site.there()


def test_what_the_machine_refuses_is_told_and_rolled_back(site: Driven, hydria: Asked) -> None:
    hydria("push", site.file(1, 1))
    with site.amphora.traffic.entered():
        taken = socket.create_server(("127.0.0.1", 8082))
    with taken:
        failed = hydria("push", site.file(1, 1, port=8082))
    assert (failed.code, failed.out) == (3, "")
    assert "Address already in use" in failed.err
    assert site.serves()


def test_status_says_how_everything_fares(site: Driven, hydria: Asked) -> None:
    assert hydria("status").lines[-1].endswith("no load balancer")
    hydria("push", site.file(1, 1))
    told = hydria("status", "--history")
    assert told.code == 0
    assert f"load balancer lb ({site.lb})" in told.lines[0]
    assert [line.split()[0] for line in told.lines[2:6]] == ["web", "pool", "m0", "m1"]
    assert any(line.startswith("state: ACTIVE; generation 1 serves") for line in told.lines)
    assert "VIP: here" in told.lines
    assert told.lines[-1].startswith("generation 1: ")
    assert told.lines[-1].endswith("Z, serving, start")


def test_a_trial_is_confirmed_by_another_command(site: Driven, hydria: Asked) -> None:
    hydria("push", site.file(1, 1))
    tried = hydria("try", site.file(2, 1), "--confirm-within", "60")
    assert tried.code == 0
    assert f"unless: hydria confirm --lb {site.lb}" in tried.err
    assert any(line.startswith("on trial: in ") and "generation 1 serves again" in line for line in hydria("status").lines)
    assert "kept, generation 2 serves" in hydria("confirm").out
    again = hydria("confirm", "--json")
    assert (again.code, again.json["error"]["code"]) == (3, "not-found")
    assert site.weights() == [2, 1]
    assert "so there is nothing to try" in hydria("try", site.file(2, 1)).err


def test_a_trial_that_nobody_confirms_is_taken_back(site: Driven, hydria: Asked) -> None:
    hydria("push", site.file(1, 1))
    answer = hydria("try", site.file(2, 1), "--confirm-within", "1", "--json").json
    assert answer["agents"][0]["trial"]["back_to"] == 1
    eventually(lambda: site.weights() == [1, 1], "what was before")


def test_a_first_load_balancer_on_trial_is_rolled_back_to_nothing(site: Driven, hydria: Asked) -> None:
    hydria("try", site.file(1, 1))
    assert "removed, as it was not there before" in hydria("rollback").err
    assert site.there() == []


@contextmanager
def at_a_terminal(site: Driven, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The command with a terminal for all its streams; the other end of that."""
    ours, theirs = pty.openpty()
    try:
        with site.amphora.machine.entered():
            command = subprocess.Popen(
                [sys.executable, "-m", "hydria", arguments[0], *site.options, *arguments[1:]],
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
                cwd=ROOT,
                env={name: value for name, value in os.environ.items() if name != "NO_COLOR"} | {"TERM": "xterm"},
                start_new_session=True,
            )
        os.close(theirs)
        try:
            yield command, ours
        finally:
            if command.poll() is None:
                command.kill()
            command.wait()
    finally:
        os.close(ours)


def read_until(terminal: int, words: bytes) -> bytes:
    """What is on the terminal, until these words are, or it is closed."""
    seen = b""
    while words not in seen:
        try:
            chunk = os.read(terminal, 4096)
        except OSError:
            break
        if not chunk:
            break
        seen += chunk
    assert words in seen, seen
    return seen


@pytest.mark.parametrize(
    ("typed", "words", "end"),
    [(b"y\n", b"kept", (0, [2, 1])), (b"\n", b"taken back", (1, [1, 1])), (b"n\n", b"taken back", (1, [1, 1]))],
)
def test_a_person_is_asked(site: Driven, hydria: Asked, typed: bytes, words: bytes, end: tuple[int, list[int]]) -> None:
    hydria("push", site.file(1, 1))
    with at_a_terminal(site, "try", site.file(2, 1), "--confirm-within", "60") as (command, terminal):
        read_until(terminal, b"[y/N] ")
        assert site.weights() == [2, 1]
        os.write(terminal, typed)
        read_until(terminal, words)
        code = command.wait(20)
    assert (code, site.weights()) == end
    assert site.call("loadbalancer_status").trial is None


def test_a_person_who_says_nothing_loses_it(site: Driven, hydria: Asked) -> None:
    hydria("push", site.file(1, 1))
    with at_a_terminal(site, "try", site.file(2, 1), "--confirm-within", "1") as (command, terminal):
        read_until(terminal, b"nobody answered")
        assert command.wait(20) == 1
    eventually(lambda: site.weights() == [1, 1], "what was before")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP, signal.SIGINT])
def test_a_command_that_dies_keeps_nothing(site: Driven, hydria: Asked, number: signal.Signals) -> None:
    hydria("push", site.file(1, 1))
    with at_a_terminal(site, "try", site.file(2, 1), "--confirm-within", "8") as (command, terminal):
        read_until(terminal, b"[y/N] ")
        command.send_signal(number)
        assert command.wait(20) != 0
        assert site.weights() == [2, 1]
    eventually(lambda: site.weights() == [1, 1], "what was before")


def test_on_a_terminal_there_are_colours_and_steps(site: Driven) -> None:
    with at_a_terminal(site, "push", site.file(1, 1)) as (command, terminal):
        seen = read_until(terminal, b"generation 1 serves")
        assert command.wait(20) == 0
    assert b"\x1b[K" in seen
    assert b"\x1b[32m" in seen


def test_a_member_is_drained_until_its_last_connection_has_ended(site: Driven, hydria: Asked) -> None:
    hydria("push", site.file(1, 0, protocol="TCP"))
    with site.amphora.traffic.entered():
        client = socket.create_connection(("127.0.0.1", 8080))
    with client:
        eventually(lambda: site.call("loadbalancer_status").rows[-2].sessions == 1, "a connection to the member")
        told = hydria("drain", "m0", "--no-wait", "--json").json
        assert (told["member"], told["agents"][0]["state"], told["agents"][0]["connections"]) == (member_id(0), "draining", 1)
        ends = threading.Timer(1, client.close)
        ends.start()
        drained = hydria("drain", "m0", "--within", "60")
        ends.join()
    assert (drained.code, drained.lines[-1].endswith("no connection left")) == (0, True)
    assert "it gets its share again" in hydria("drain", member_id(0), "--cancel").err


def test_connections_that_do_not_end_are_ended(site: Driven, hydria: Asked) -> None:
    hydria("push", site.file(1, 0, protocol="TCP"))
    with site.amphora.traffic.entered():
        client = socket.create_connection(("127.0.0.1", 8080))
    with client:
        eventually(lambda: site.call("loadbalancer_status").rows[-2].sessions == 1, "a connection to the member")
        drained = hydria("drain", f"{site.members[0].address}:{site.members[0].port}", "--within", "1")
    assert drained.lines[-1].endswith("no connection left; the last ones were ended")
    unknown = hydria("drain", "m7")
    assert (unknown.code, "has no member m7" in unknown.err) == (3, True)


def test_a_load_balancer_must_be_named_where_there_are_several(site: Driven, hydria: Asked) -> None:
    assert "there is no load balancer" in hydria("rollback").err
    first, site.lb = site.lb, str(uuid.uuid4())
    hydria("push", site.file(1, 1))
    second, site.lb = site.lb, first
    hydria("push", site.file(1, 1, port=8083))
    told = hydria("rollback")
    assert told.code == 2
    assert "there are 2 load balancers, so --lb is needed" in told.err
    assert hydria("rollback", "--lb", "nothing.json").code == 2
    assert len(hydria("status", "--json").json["agents"][0]["loadbalancers"]) == 2
    site.lb = second
    site.call("delete_loadbalancer")
    site.lb = first


# --- pairs ---


@pytest.fixture(scope="module")
def pair_made() -> Iterator[list[Driven]]:
    with tempfile.TemporaryDirectory(prefix="h", dir="/tmp") as directory, ExitStack() as stack:
        trust, cloud = Trust(), stack.enter_context(Cloud("management"))
        yield [Driven(stack, Path(directory, str(n)), trust, address=f"10.9.0.{n}", cloud=cloud) for n in (1, 2)]


class Pair:
    """Two agents on one network, the VIP at the one that a test wants."""

    def __init__(self, driven: list[Driven], capsys: pytest.CaptureFixture[str]) -> None:
        self.one, self.two = driven
        self.one.lb = self.two.lb = str(uuid.uuid4())
        self._capsys = capsys

    def hydria(self, verb: str, *arguments: str) -> Said:
        self._capsys.readouterr()
        code = self.one.hydria(verb, *self.two.options[:4], *arguments)
        return Said(code, self._capsys.readouterr())


@pytest.fixture
def pair(pair_made: list[Driven], capsys: pytest.CaptureFixture[str]) -> Iterator[Pair]:
    made = Pair(pair_made, capsys)
    yield made
    for driven in pair_made:
        driven.call("delete_loadbalancer")
        driven.amphora.traffic.ip("address flush dev lo scope global")


def test_the_one_that_has_the_vip_is_changed_last(pair: Pair) -> None:
    vip = "192.0.2.10"
    pair.hydria("push", pair.one.file(1, 1, vip=vip))
    for active, standby in ((pair.one, pair.two), (pair.two, pair.one)):
        active.amphora.traffic.ip(f"address add {vip}/32 dev lo")
        said = pair.hydria("push", pair.one.file(3, 1, vip=vip) if active is pair.one else pair.one.file(4, 1, vip=vip))
        assert (said.code, [driven.amphora.id in line for driven, line in zip((standby, active), said.lines, strict=True)]) == (
            0,
            [True] * 2,
        )
        active.amphora.traffic.ip(f"address delete {vip}/32 dev lo")
    assert [driven.weights() for driven in (pair.one, pair.two)] == [[4, 1]] * 2
    assert pair.hydria("rollback").code == 0
    assert [driven.weights() for driven in (pair.one, pair.two)] == [[3, 1]] * 2
    assert len(pair.hydria("status", "--json").json["agents"]) == 2


def test_both_have_it_or_none(pair: Pair) -> None:
    with pair.two.amphora.traffic.entered():
        taken = socket.create_server(("127.0.0.1", 8082))
    with taken:
        failed = pair.hydria("push", pair.one.file(1, 1, port=8082))
        assert failed.code == 3
        assert "Address already in use" in failed.err
        assert f"amphora {pair.one.amphora.id} at 10.9.0.1:9443: taken back" in failed.err
        assert pair.one.there() == []
        assert pair.two.there() == []
        pair.hydria("push", pair.one.file(1, 1))
        pair.hydria("try", pair.one.file(2, 1, port=8082))
    assert [driven.weights() for driven in (pair.one, pair.two)] == [[1, 1]] * 2
    assert [driven.call("loadbalancer_status").trial for driven in (pair.one, pair.two)] == [None, None]


def test_an_agent_that_is_away_stops_it_before_anything_has_changed(pair: Pair) -> None:
    pair.hydria("push", pair.one.file(1, 1))
    pair.two.amphora.stop()
    failed = pair.hydria("push", pair.one.file(2, 1))
    pair.two.amphora.start()
    assert (failed.code, failed.out) == (3, "")
    assert pair.two.amphora.id in failed.err
    assert [driven.weights() for driven in (pair.one, pair.two)] == [[1, 1]] * 2


def test_both_are_tried_and_kept(pair: Pair) -> None:
    pair.hydria("push", pair.one.file(1, 1))
    pair.hydria("try", pair.one.file(2, 1))
    assert len(pair.hydria("confirm", "--json").json["agents"]) == 2
    assert [driven.weights() for driven in (pair.one, pair.two)] == [[2, 1]] * 2


def test_wrong_use_says_what_would_be_right(pair: Pair) -> None:
    graph = pair.one.file(1)
    assert "--to is for one agent" in pair.hydria("rollback", "--to", "1").err
    assert "1 times --if-match and 2 times --agent given" in pair.hydria("push", graph, "--if-match", "x").err
    assert "3 times --agent and 2 times --amphora given" in pair.hydria("push", graph, "--agent", "10.9.0.3").err
    assert "unknown key 'nonsense'" in pair.hydria("push", graph, "--target", "nonsense").err
    assert "cannot be read" in pair.hydria("push", graph, "--target", "@/nowhere").err
