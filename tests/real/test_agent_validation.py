"""When HAProxy is asked about a generation that nobody has looked at: before anything is changed, or, of servers alone, after the commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.programs import Programs, amphora

from agent.errors import RejectedByHaproxy
from compiler.bundle import File

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.apply import Check
    from agent.haproxy import Haproxy
    from agent.outcomes import Outcome

LB = "5f2b3c1d-9a8e-4c7b-8d6f-0e1a2b3c4d5e"


@pytest.fixture
def programs(haproxy: Haproxy) -> Iterator[Programs]:
    with amphora(haproxy) as made:
        made.haproxies.prepare(LB)
        yield made


def bring(programs: Programs, weight: int, check: Check | None, *, port: int = 8080) -> Outcome:
    text = f"""\
global
    stats socket {programs.paths.admin_socket(LB)} mode 600 level admin
defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
frontend web
    bind 127.0.0.1:{port}
    default_backend pool
backend pool
    balance roundrobin
    server a 127.0.0.1:1 weight {weight}
"""
    files = {"amphora.cfg": File(b""), "haproxy.cfg": File(text.encode())}
    return programs.haproxies.bring(LB, programs.haproxies.generations(LB).stage(files, "2.0"), check=check)


class Seen:
    """A check that sees how things are when it is made; and refuses, or has something to say."""

    def __init__(self, programs: Programs, *, refuses: bool = False) -> None:
        self._programs = programs
        self._refuses = refuses
        self.weights: list[str] = []
        self.loading: list[int] = []

    def __call__(self) -> list[dict[str, str]]:
        self.weights.append(weight(self._programs))
        self.loading.append(self._programs.haproxies.generations(LB).loading.number)
        if self._refuses:
            raise RejectedByHaproxy("HAProxy does not take this configuration", "line 3 of it")
        return [{"code": "said"}]


def weight(programs: Programs) -> str:
    return programs.haproxies.stats(LB).ask("get weight pool/a").split()[0]


def served(programs: Programs) -> tuple[str, int, int]:
    """The weight that runs, the generation that serves, the one that a boot would load."""
    generations = programs.haproxies.generations(LB)
    current = generations.linked("current")
    assert current is not None
    return weight(programs), current.number, generations.loading.number


@pytest.mark.third_haproxy
def test_servers_alone_change_before_the_file_is_looked_at(programs: Programs) -> None:
    bring(programs, 1, None)
    seen = Seen(programs)
    outcome = bring(programs, 7, seen)
    assert (outcome.way, outcome.warnings) == ("runtime", [{"code": "said"}])
    assert seen.weights == ["7"]
    assert served(programs) == ("7", 2, 2)


@pytest.mark.third_haproxy
def test_where_the_file_is_refused_then_the_old_one_serves_again(programs: Programs) -> None:
    bring(programs, 1, None)
    seen = Seen(programs, refuses=True)
    with pytest.raises(RejectedByHaproxy, match="does not take"):
        bring(programs, 7, seen)
    assert (seen.weights, seen.loading) == (["7"], [2])
    assert served(programs) == ("1", 1, 1)
    assert bring(programs, 8, Seen(programs)).way == "runtime"
    assert served(programs) == ("8", 3, 3)


@pytest.mark.third_haproxy
def test_everything_else_is_looked_at_before_anything_is_changed(programs: Programs) -> None:
    bring(programs, 1, None)
    refusing = Seen(programs, refuses=True)
    with pytest.raises(RejectedByHaproxy, match="does not take"):
        bring(programs, 7, refusing, port=8081)
    assert (refusing.weights, refusing.loading) == (["1"], [1])
    assert programs.haproxies.generations(LB).numbers() == [1], "what is refused leaves nothing behind"
    seen = Seen(programs)
    assert bring(programs, 7, seen, port=8081).way == "reload"
    assert (seen.weights, seen.loading) == (["1"], [1])
    assert served(programs) == ("7", 2, 2)


@pytest.mark.third_haproxy
def test_where_commands_do_not_do_the_file_is_looked_at_before_the_reload(programs: Programs) -> None:
    bring(programs, 1, None)
    stats = programs.haproxies.stats(LB)
    stats.ask("set server pool/a state maint")
    assert stats.ask("del server pool/a").strip() == "Server deleted."
    seen = Seen(programs)
    assert bring(programs, 7, seen).way == "reload"
    assert seen.weights == ["No"]
    assert served(programs) == ("7", 2, 2)
