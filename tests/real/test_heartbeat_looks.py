"""Looks at a real HAProxy: every other one is a glimpse where there are many servers, and misses nothing for longer than that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.graphs import listener, member, pool
from support.serving import serve

from agent.clock import SystemClock
from agent.errors import SocketFault
from agent.heartbeat.counters import Ledger
from agent.heartbeat.haproxy_look import HaproxyLook, NotRunning, Sockets, member_status
from hydria.lab.backends import EchoBackend

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.serving import Serving

    from agent.haproxy import Haproxy

LISTENERS = [listener("front", "one", protocol="TCP"), listener("other", "two", protocol="TCP")]


@pytest.fixture
def serving(haproxy: Haproxy) -> Iterator[Serving]:
    with EchoBackend("a") as a, EchoBackend("b") as b:
        pools = [pool(name, member(a, weight=10), member(b, weight=20), protocol="TCP") for name in ("one", "two")]
        with serve(haproxy, LISTENERS, pools) as started:
            yield started


class Looking:
    """A HAProxy, and someone who looks at it and thinks that it has many servers."""

    def __init__(self, serving: Serving) -> None:
        self.serving = serving
        run = serving.run_directory
        self.look = HaproxyLook("lb", Sockets((run / f"{serving.graph.id}.sock",), run / "master.sock"), Ledger(), SystemClock(), many=1)

    def seen(self) -> dict[str, dict[str, str]]:
        """Pool → member → status, by their names."""
        pools = self.look.look().pools
        names = {name: self.serving.backend_name(name, front) for name, front in (("one", "front"), ("two", "other"))}
        return {
            name: {self.serving.member_names(name)[each]: status for each, status in pools[called].members.items()}
            for name, called in names.items()
        }

    def tell(self, command: str, pool: str, member: str, rest: str) -> None:
        front = {"one": "front", "two": "other"}[pool]
        server = next(each for each, name in self.serving.member_names(pool).items() if name == member)
        self.serving.process.stats.ask(f"{command} {self.serving.backend_name(pool, front)}/{server} {rest}")


def test_a_glimpse_sees_what_shows_in_backends_and_the_next_look_the_rest(serving: Serving) -> None:
    looking = Looking(serving)
    well = {"a": "no check", "b": "no check"}
    assert looking.seen() == {"one": well, "two": well}
    looking.tell("set server", "two", "a", "state maint")
    assert looking.seen() == {"one": well, "two": {"a": "MAINT", "b": "no check"}}
    assert looking.seen() == {"one": well, "two": {"a": "MAINT", "b": "no check"}}
    # Two changes at once that cancel each other in the backend's row.
    looking.tell("set server", "two", "a", "state ready")
    looking.tell("set server", "two", "b", "state maint")
    looking.tell("set weight", "two", "a", "20")
    looking.seen()
    assert looking.seen()["two"] == {"a": "no check", "b": "MAINT"}
    looking.look.close()


def test_another_worker_is_looked_at_as_a_whole(serving: Serving) -> None:
    looking = Looking(serving)
    looking.seen()
    serving.process.reload()
    looking.tell("set server", "one", "b", "state maint")
    assert looking.seen()["one"] == {"a": "no check", "b": "MAINT"}
    looking.look.close()


def test_nobody_there_is_not_the_same_as_no_answer(serving: Serving, tmp_path: Path) -> None:
    looking = Looking(serving)
    serving.process.stop(grace=0)
    with pytest.raises(NotRunning):
        looking.seen()
    (tmp_path / "file").write_text("")
    odd = HaproxyLook("lb", Sockets((tmp_path / "file" / "socket",), tmp_path / "master"), Ledger(), SystemClock())
    with pytest.raises(SocketFault) as error:
        odd.look()
    assert not isinstance(error.value, NotRunning)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("UP", "UP"),
        ("UP 1/3", "UP 1/3"),
        ("DOWN (agent)", "DOWN (agent)"),
        ("MAINT (via a/b)", "MAINT"),
        ("MAINT (resolution)", "MAINT"),
        ("DRAIN (agent)", "DRAIN"),
        ("NOLB 1/2", "DRAIN"),
        ("no check", "no check"),
    ],
)
def test_statuses_come_in_the_receiver_s_words(status: str, expected: str) -> None:
    assert member_status(status) == expected
