"""Members that get no new clients: also when the agent ends meanwhile and another one comes, and HAProxy with it."""

from __future__ import annotations

import json
import os
import signal
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from support.polling import eventually
from support.programs import AMPHORA, Programs, amphora

from agent.clock import SystemClock
from agent.drains import LONGEST, Drains
from agent.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.haproxy import Haproxy

LB = "5f2b3c1d-9a8e-4c7b-8d6f-0e1a2b3c4d5e"
LISTENER = "0b1c2d3e-4f5a-4b6c-8d7e-9f0a1b2c3d4e"


def configuration(programs: Programs, *members: str, more: str = "") -> bytes:
    """Members at the address of a listening socket."""
    servers = "\n".join(f"    server {name} 127.0.0.1:9000 weight 1" for name in members)
    return (
        f"global\n    daemon\n    stats socket {programs.paths.stats_socket(LB)} mode 0666 level user\n    maxconn 100\n{more}"
        "defaults\n    mode tcp\n    timeout connect 5s\n    timeout client 60s\n    timeout server 60s\n"
        f"frontend {LISTENER}\n    bind 127.0.0.1:8080\n    default_backend pool:{LISTENER}\n"
        f"backend pool:{LISTENER}\n{servers}\n"
    ).encode()


@pytest.fixture
def serving(haproxy: Haproxy) -> Iterator[Programs]:
    with amphora(haproxy) as made, made.namespace.entered(), socket.create_server(("127.0.0.1", 9000)):
        made.haproxies.upload(AMPHORA, LB, configuration(made, "one", "two"))
        made.haproxies.start(LB)
        yield made
        end(made)


def end(programs: Programs) -> None:
    """The agent ends."""
    for follow in programs.haproxies.followers:
        follow.__self__.close()  # type: ignore[attr-defined]
    programs.haproxies.followers.clear()


def drains(programs: Programs) -> Drains:
    """Those of an agent that is started, after the end of the one before."""
    end(programs)
    made = Drains(programs.haproxies, SystemClock(), programs.paths.drains)
    programs.haproxies.followers.append(made.follow)
    assert made.restore() == []
    return made


def state(programs: Programs, member: str) -> str:
    rows = programs.haproxies.stats(LB).show_stat(("svname", "status"))
    return next(row["status"] for row in rows if row["svname"] == member)


def test_the_next_agent_goes_on(serving: Programs) -> None:
    drains(serving).start(LB, "one", 60)
    assert serving.paths.drains.stat().st_mode & 0o777 == 0o600
    after = drains(serving)
    assert 50 < after.progress(LB, "one").left <= 60
    serving.haproxies.upload(AMPHORA, LB, configuration(serving, "one", "two", more="    tune.maxaccept 10\n"))
    serving.haproxies.reload(LB)
    assert (state(serving, "one"), state(serving, "two")) == ("DRAIN", "no check"), "another worker is told by the next agent"
    after.cancel(LB, "one")
    assert state(serving, "one") == "no check"
    assert not serving.paths.drains.exists()
    with pytest.raises(NotFoundError, match="not drained"):
        drains(serving).progress(LB, "one")


def test_a_deadline_that_passes_while_no_agent_is_there_is_due_at_once(serving: Programs) -> None:
    drains(serving).start(LB, "two", 60)
    with ExitStack() as stack:
        client = stack.enter_context(socket.create_connection(("127.0.0.1", 8080), timeout=20))
        eventually(lambda: connections(serving, "one") == 1, "a connection")
        drains(serving).start(LB, "one", 60)
        end(serving)
        kept = json.loads(serving.paths.drains.read_bytes())
        kept["orders"][-1]["until"] = SystemClock().monotonic() - 5
        serving.paths.drains.write_text(json.dumps(kept))
        after = drains(serving)
        assert client.recv(1) == b""
        eventually(lambda: after.progress(LB, "one").state == "ended", "the end of its connections")
    assert after.progress(LB, "two").state == "drained"
    assert drains(serving).progress(LB, "one").state == "ended", "and it is not ended again"


def connections(programs: Programs, member: str) -> int:
    rows = programs.haproxies.stats(LB).show_stat(("svname", "scur"))
    return next(int(row["scur"]) for row in rows if row["svname"] == member)


def test_a_haproxy_that_came_back_while_no_agent_was_there_is_told(serving: Programs) -> None:
    drains(serving).start(LB, "one", 60)
    pid = serving.services.pid(f"haproxy-{LB}")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: serving.services.pid(f"haproxy-{LB}") not in (None, pid) and serving.haproxies.running(LB), "another one")
    assert state(serving, "one") == "no check"
    drains(serving)
    eventually(lambda: state(serving, "one") == "DRAIN", "it is told")


@pytest.mark.parametrize("until", [1e300, LONGEST * 10])
def test_a_deadline_that_nobody_can_have_given_is_the_longest(serving: Programs, until: float) -> None:
    drains(serving).start(LB, "one", 60)
    kept = json.loads(serving.paths.drains.read_bytes())
    kept["orders"][0]["until"] = until
    serving.paths.drains.write_text(json.dumps(kept))
    assert drains(serving).progress(LB, "one").left <= LONGEST


def test_a_file_of_another_uptime_is_void_and_a_damaged_one_is_told(serving: Programs) -> None:
    drains(serving).start(LB, "one", 60)
    end(serving)
    kept = json.loads(serving.paths.drains.read_bytes())
    serving.paths.drains.write_text(json.dumps({**kept, "boot": "another"}))
    with pytest.raises(NotFoundError, match="not drained"):
        drains(serving).progress(LB, "one")
    serving.paths.drains.write_text("{")
    made = Drains(serving.haproxies, SystemClock(), serving.paths.drains)
    [told] = made.restore()
    assert f"{serving.paths.drains} cannot be read" in told
    assert made.start(LB, "two", 60).left > 50
    made.close()


def test_a_member_that_is_there_no_more_is_forgotten(serving: Programs) -> None:
    made = drains(serving)
    made.start(LB, "one", 60)
    serving.haproxies.upload(AMPHORA, LB, configuration(serving, "two"))
    serving.haproxies.reload(LB)
    with pytest.raises(NotFoundError, match="not drained"):
        made.progress(LB, "one")
    assert not serving.paths.drains.exists()
