"""The pure parts of the pipeline: what of a servers' state is kept, and which of several writes is done."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import msgspec
import pytest

from agent.client_graphs import secret_body
from agent.errors import GraphRefused, InvalidRequest
from agent.graph_request import GraphRequest
from agent.locks import Locks
from agent.outcomes import Outcome
from agent.progress import ProgressBoard
from agent.servers_state import touched, without
from agent.writes import Write, Writes
from compiler.changes import Command
from compiler.secrets import Secret

LB = "5d2f0d3e-6c1b-4a55-8d5e-0b6b7e1b6a10"
STATE = b"""1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight
3 pool 1 a 127.0.0.1 2 0 20 10
3 pool 2 b 127.0.0.1 0 1 1 1
3 pool 3 c 127.0.0.1 2 0 7 1
"""


def command(text: str) -> Command:
    return Command(text=text, object="pool/a", field="weight")


def test_what_commands_touched_is_remembered_by_server() -> None:
    found = touched(
        [command("set server pool/a weight 3"), command("set server pool/a weight 4"), command("show info")], {"pool/b": ["state"]}
    )
    assert found == {"pool/b": ["state"], "pool/a": ["weight"]}
    assert touched([command("set server pool/b addr 127.0.0.1 port 1")], found)["pool/b"] == ["state", "addr"]


def test_what_nobody_touched_is_kept_as_it_is() -> None:
    assert without(STATE, {}) == STATE


def test_weights_and_states_of_commands_are_not_kept() -> None:
    kept = without(STATE, {"pool/a": ["weight"], "pool/b": ["state"]})
    assert kept is not None
    rows = kept.decode().splitlines()[2:]
    assert rows == ["3 pool 1 a 127.0.0.1 2 0 10 10", "3 pool 3 c 127.0.0.1 2 0 7 1"]


def test_another_address_is_another_server() -> None:
    kept = without(STATE, {"pool/c": ["addr"]})
    assert kept is not None
    assert b" c " not in kept


def test_what_is_no_state_is_not_kept() -> None:
    assert without(b"Unknown command", {}) is None


# --- writes ---


def outcome(generation: int) -> Outcome:
    return Outcome(loadbalancer=LB, way="noop", generation=generation, etag=f'"{generation}"')


class Line:
    """Writes that wait in a line until they are let go."""

    def __init__(self) -> None:
        self.locks = Locks()
        self.writes = Writes(self.locks)
        self.applied: list[int] = []
        self.results: dict[int, Any] = {}
        self._threads: list[threading.Thread] = []

    def add(self, number: int, *, conditional: bool = False, fails: bool = False) -> None:
        queued = threading.Event()

        def apply() -> Outcome:
            self.applied.append(number)
            if fails:
                raise InvalidRequest(str(number))
            return outcome(number)

        def run() -> None:
            queued.set()
            try:
                self.results[number] = self.writes.do(LB, Write(apply, conditional=conditional))
            except InvalidRequest as error:
                self.results[number] = error

        thread = threading.Thread(target=run)
        thread.start()
        queued.wait()
        while len(self.writes._waiting[LB]) <= len(self._threads):
            pass
        self._threads.append(thread)

    def done(self) -> None:
        for thread in self._threads:
            thread.join()


def test_of_several_writes_that_wait_the_last_is_done() -> None:
    line = Line()
    with line.locks(LB):
        for number in (1, 2, 3):
            line.add(number)
    line.done()
    assert line.applied == [3]
    assert {number: (found.generation, found.covered) for number, found in line.results.items()} == {
        1: (3, True),
        2: (3, True),
        3: (3, False),
    }


def test_the_last_covers_those_before_it_when_it_is_let_in_first() -> None:
    writes = Writes(Locks())
    first, last = (Write(partial(outcome, number), conditional=False) for number in (1, 2))
    writes._waiting[LB] = [first]
    assert writes.do(LB, last) == outcome(2)
    assert first.outcome is not None
    assert (first.outcome.generation, first.outcome.covered) == (2, True)


def test_a_write_with_a_condition_is_done_by_itself() -> None:
    line = Line()
    with line.locks(LB):
        for number, conditional in ((1, True), (2, False), (3, True)):
            line.add(number, conditional=conditional)
    line.done()
    assert sorted(line.applied) == [1, 2, 3]
    assert [line.results[number].covered for number in (1, 2, 3)] == [False] * 3


def test_a_later_write_that_fails_covers_nobody() -> None:
    line = Line()
    with line.locks(LB):
        line.add(1)
        line.add(2)
        line.add(3, fails=True)
    line.done()
    assert isinstance(line.results[3], InvalidRequest)
    assert line.results[1].generation in (1, 2)
    assert line.results[2].generation == 2


# --- progress ---


def test_whoever_waits_is_told_of_the_next_step() -> None:
    board = ProgressBoard()
    board.step(LB, "staged")
    assert board.seen(LB).event == 0, "nothing is going on"
    board.begin(LB)
    first = board.wait(LB, 0, 10)
    assert (first.event, first.step) == (1, "begun")
    board.step(LB, "staged")
    assert board.wait(LB, 1, 10).step == "staged"
    board.end(LB, outcome(1))
    last = board.wait(LB, 2, 0)
    assert (last.step, last.outcome) == ("", outcome(1))
    assert board.wait(LB, last.event, 0.01) == last


# --- requests ---


def test_a_request_gets_the_id_of_its_place() -> None:
    found = GraphRequest.decode(LB, b'{"loadbalancer": {"vip_address": "192.0.2.1"}, "secrets": {"x": "PEM"}}')
    assert found.graph.id == LB
    assert found.secrets == {"x": Secret(b"PEM")}
    assert b"PEM" not in found.text
    assert "PEM" not in repr(found)


@pytest.mark.parametrize("parts", [{"bundle": b"\xff\x00"}, {"certificate": b"a", "private_key": b"base64:x"}])
def test_secrets_of_any_bytes_arrive(parts: dict[str, bytes]) -> None:
    body = {"loadbalancer": {"vip_address": "192.0.2.1"}, "secrets": {"x": secret_body(Secret(parts))}}
    assert GraphRequest.decode(LB, msgspec.json.encode(body)).secrets == {"x": Secret(parts)}


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"[]", b"{}", b"\xff", b"null", b'{"loadbalancer": {"vip_address": "192.0.2.1"}, "more": 1}'),
        *(b'{"loadbalancer": {"vip_address": "192.0.2.1"}, "secrets": {"x": {"nonsense": "y"}}}',),
        *(b'{"loadbalancer": {"vip_address": "192.0.2.1"}, "secrets": {"x": "base64:!"}}',),
        *(b'{"loadbalancer": {"vip_address": "192.0.2.1", "id": "0b1c2d3e-4f5a-4b6c-8d7e-9f0a1b2c3d4e"}}', b"[" * 5000),
    ],
)
def test_what_is_no_request(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        GraphRequest.decode(LB, body)


@pytest.mark.parametrize("graph", [b"1", b"[]", b"{}", b'{"vip_address": 1}', b'{"vip_address": "192.0.2.1", "id": 7}'])
def test_what_is_no_graph(graph: bytes) -> None:
    with pytest.raises(GraphRefused) as caught:
        GraphRequest.decode(LB, b'{"loadbalancer": ' + graph + b"}")
    assert caught.value.problems
