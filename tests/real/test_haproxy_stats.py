"""What real HAProxy says on its stats socket, in each version that is here, read by the agent's client."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

import pytest
from record_stats import judging
from support.polling import eventually

from agent.errors import SocketFault
from agent.haproxy import Haproxy
from agent.stats_socket import StatsSocket
from fastpath import stats

pytestmark = pytest.mark.third_haproxy

WEB = "7bd4e6b3-6d1f-4a0e-9f37-6a4a6ff4a1a6:0f0a3d5f-6f2c-4f5a-8f8e-d2b1a54f0c11"


@pytest.fixture(scope="module")
def judged(haproxy: Haproxy) -> Iterator[StatsSocket]:
    with judging(str(haproxy.binary)) as found:
        yield found


def status(judged: StatsSocket, backend: str, server: str) -> tuple[str, int]:
    servers = next(each.servers for each in judged.heartbeat().backends if each.name == backend)
    return next((each.status, each.weight) for each in servers if each.name == server)


def test_every_column_is_what_the_standard_library_reads(judged: StatsSocket) -> None:
    dump = judged.ask_bytes("show stat")
    names = [name for name in stats.names(dump) if name != "-"]
    rows = list(csv.DictReader(io.StringIO(dump.decode(errors="backslashreplace")[2:], newline="")))
    texts = stats.columns(dump, names).texts
    assert list(texts) == names
    for name in names:
        assert texts[name] == [row[name] for row in rows], name


def test_rows_are_told_apart_by_their_type_whatever_they_are_called(judged: StatsSocket) -> None:
    beat = judged.heartbeat()
    assert [(each.name, each.status) for each in beat.frontends] == [("f1", "OPEN"), ("f2", "OPEN"), ("both", "OPEN")]
    assert [each.name for each in beat.backends] == ["both", WEB, "b.tcp", "b.agent", "empty"]
    both = beat.backends[0]
    assert both.status == "UP"
    assert [(each.name, each.status) for each in both.servers] == [("FRONTEND", "DOWN"), ("BACKEND", "no check")]
    assert list(beat.backends[-1].servers) == []


def test_states_of_servers(judged: StatsSocket) -> None:
    assert status(judged, WEB, "s2") == ("no check", 0)
    assert status(judged, WEB, "s3") == ("MAINT", 1)
    assert status(judged, WEB, "s5") == ("UP", 256)
    assert status(judged, WEB, "s6") == ("UP", 0)
    assert status(judged, "b.agent", "a1") == ("DOWN (agent)", 1)
    assert status(judged, "b.agent", "a3") == ("DRAIN (agent)", 1)


def test_what_changes_at_run_time_is_in_the_next_look(judged: StatsSocket) -> None:
    judged.ask(f"set server {WEB}/s5 state maint")
    assert status(judged, WEB, "s5")[0] == "MAINT"
    judged.ask(f"set server {WEB}/s5 state drain")
    assert eventually(lambda: status(judged, WEB, "s5")[0] == "DRAIN")
    judged.ask(f"set weight {WEB}/s5 12")
    judged.ask(f"set server {WEB}/s5 state ready")
    assert eventually(lambda: status(judged, WEB, "s5") == ("UP", 12))
    judged.ask(f"set weight {WEB}/s5 256")


def test_the_state_file_tells_of_the_same_servers(judged: StatsSocket) -> None:
    state = judged.servers_state(("be_name", "srv_name"), ("srv_id", "srv_uweight", "srv_port"))
    beat = judged.heartbeat()
    assert list(zip(*state.texts.values(), strict=True)) == [(each.name, server.name) for each in beat.backends for server in each.servers]
    assert all(isinstance(number, int) and number >= 0 for column in state.numbers.values() for number in column)


def test_less_may_be_asked_for(judged: StatsSocket) -> None:
    servers = stats.heartbeat(judged.ask_bytes("show stat -1 4 -1"))
    assert servers.frontends == []
    assert {each.status for each in servers.backends} == {""}
    assert [each.servers for each in servers.backends] == [each.servers for each in judged.heartbeat().backends if len(each.servers)]
    frontends = stats.heartbeat(judged.ask_bytes("show stat -1 1 -1"))
    assert frontends.backends == []
    assert [each.name for each in frontends.frontends] == ["f1", "f2", "both"]


def test_info(judged: StatsSocket, haproxy: Haproxy) -> None:
    found = stats.info(judged.ask_bytes("show info"), ("Pid", "Maxconn"))
    assert found.numbers["Maxconn"] == 100
    assert found.numbers["Pid"] == int(judged.show_info()["Pid"])
    assert found.texts["Version"].startswith(".".join(map(str, haproxy.version)))


def test_an_answer_that_is_none_is_an_error_with_what_was_said(judged: StatsSocket) -> None:
    with pytest.raises(ValueError, match=r"^byte 0: the dump must begin with b'# ', not with b.Unknown command"):
        stats.heartbeat(judged.ask_bytes("show stats-that-are-none"))
    with pytest.raises(SocketFault, match="`show stat -1 7 -1` answers what cannot be read: byte 0: "):
        NotStatistics(judged.path).heartbeat()


class NotStatistics(StatsSocket):
    def ask_bytes(self, command: str, payload: bytes | None = None) -> bytearray:
        return super().ask_bytes("show info" if command == "show stat -1 7 -1" else command, payload)
