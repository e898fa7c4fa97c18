"""The pipeline under the 1.0 contract on the real HAProxy: commands in place of reloads, and the agent killed after every single step."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.polling import eventually
from support.programs import AMPHORA, Programs, amphora, kill_everything

from agent.errors import RejectedByHaproxy
from hydria.lab.certificates import Authority
from hydria.lab.client import fetch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.haproxy import Haproxy
    from hydria.lab.certificates import Certificate

ROOT = Path(__file__).resolve().parents[2]
LB = "5f2b3c1d-9a8e-4c7b-8d6f-0e1a2b3c4d5e"
LISTENER = "0b1c2d3e-4f5a-4b6c-8d7e-9f0a1b2c3d4e"
BACKEND = f"pool:{LISTENER}"
ADDRESS = ("127.0.0.1", 8080)


def configuration(programs: Programs, word: str, weight: int, *, port: int = 8080, bind: str = "", more: str = "") -> bytes:
    return f"""\
global
    daemon
    user nobody
    stats socket {programs.paths.stats_socket(LB)} mode 0666 level user
    server-state-file {programs.paths.servers_state(LB)}
    maxconn 1000
defaults
    retries 3
frontend {LISTENER}
    bind 127.0.0.1:{port} {bind}
    mode http
    default_backend {BACKEND}
    timeout client 50000
backend {BACKEND}
    mode http
    balance roundrobin
    load-server-state-from-file global
    timeout connect 5000
    timeout server 50000
    http-request return status 200 content-type text/plain string {word}
    server a 127.0.0.1:1 weight {weight}
    server b 127.0.0.1:2 weight 1
{more}
""".encode()


@pytest.fixture
def programs(haproxy: Haproxy) -> Iterator[Programs]:
    with amphora(haproxy) as made:
        yield made


def serve(programs: Programs, text: bytes) -> str:
    programs.haproxies.upload(AMPHORA, LB, text)
    return programs.haproxies.reload(LB)


def answer(programs: Programs, port: int = 8080) -> str:
    return programs.namespace.run("curl", "-sS", "--max-time", "5", f"http://127.0.0.1:{port}/")


def worker(programs: Programs) -> str:
    return programs.haproxies.stats(LB).show_info()["Pid"]


def weights(programs: Programs) -> dict[str, int]:
    state = programs.haproxies.stats(LB).servers_state(["srv_name"], ["srv_uweight", "srv_admin_state"])
    return {str(name): int(weight or 0) for name, weight in zip(state.texts["srv_name"], state.numbers["srv_uweight"], strict=True)}


# --- without a reload ---


@pytest.mark.third_haproxy
def test_what_commands_can_do_is_no_reload(programs: Programs) -> None:
    serve(programs, configuration(programs, "first", 10))
    before = worker(programs)
    assert serve(programs, configuration(programs, "first", 20)) == f"haproxy for {LB} changed"
    assert weights(programs) == {"a": 20, "b": 1}
    assert serve(programs, configuration(programs, "first", 20, more="    server c 127.0.0.1:3 weight 5")) == f"haproxy for {LB} changed"
    assert weights(programs) == {"a": 20, "b": 1, "c": 5}
    text = configuration(programs, "first", 20).replace(b"    server b 127.0.0.1:2 weight 1\n", b"")
    assert serve(programs, text) == f"haproxy for {LB} changed"
    assert weights(programs) == {"a": 20}
    assert programs.paths.haproxy_cfg(LB).read_bytes() == text
    assert serve(programs, text) == f"haproxy for {LB} runs"
    assert worker(programs) == before
    os.kill(programs.services.pid(f"haproxy-{LB}") or 0, signal.SIGKILL)
    eventually(lambda: programs.haproxies.running(LB), "it serves again")
    assert weights(programs) == {"a": 20}, "what was changed by commands is what a start makes"


@pytest.mark.third_haproxy
def test_what_commands_have_set_does_not_outlive_what_the_configuration_says_next(programs: Programs) -> None:
    """HAProxy would take a weight and a state from the file of states before those of its configuration."""
    serve(programs, configuration(programs, "first", 10))
    serve(programs, configuration(programs, "first", 20).replace(b"127.0.0.1:2 weight 1", b"127.0.0.1:2 weight 1 disabled"))
    assert weights(programs)["a"] == 20
    assert serve(programs, configuration(programs, "second", 10)).endswith("reloaded")
    assert weights(programs) == {"a": 10, "b": 1}
    rows = {row["svname"]: row["status"] for row in programs.haproxies.stats(LB).show_stat() if row["pxname"] == BACKEND}
    assert rows["b"] in ("UP", "no check")


@pytest.mark.third_haproxy
def test_what_somebody_sets_by_hand_is_kept(programs: Programs) -> None:
    serve(programs, configuration(programs, "first", 10))
    programs.haproxies.stats(LB).ask(f"set server {BACKEND}/b weight 42")
    serve(programs, configuration(programs, "second", 10))
    assert weights(programs) == {"a": 10, "b": 42}


@pytest.mark.third_haproxy
def test_commands_that_haproxy_refuses_become_a_reload(programs: Programs) -> None:
    serve(programs, configuration(programs, "first", 10))
    before = worker(programs)
    programs.haproxies.stats(LB).ask(f"set server {BACKEND}/b state maint")
    assert programs.haproxies.stats(LB).ask(f"del server {BACKEND}/b").strip() == "Server deleted."
    text = configuration(programs, "first", 10).replace(b"127.0.0.1:2 weight 1", b"127.0.0.1:2 weight 7")
    assert serve(programs, text).endswith("reloaded")
    assert worker(programs) != before
    assert weights(programs) == {"a": 10, "b": 7}


@pytest.mark.third_haproxy
def test_a_certificate_that_was_replaced_in_place_is_served_without_a_reload(programs: Programs) -> None:
    authority, bind = Authority(), f"ssl crt {programs.paths.certificate(LB, 'web.pem')}"
    one, two = authority.server("one.example"), authority.server("one.example")

    def shown() -> bytes | None:
        with programs.namespace.entered():
            return fetch(ADDRESS, tls=authority.client_context(), server_name="one.example").certificate

    def put(certificate: Certificate) -> None:
        programs.certificates.put(LB, "web.pem", certificate.bundle_pem)

    put(one)
    text = configuration(programs, "first", 1, bind=bind)
    serve(programs, text)
    before, first = worker(programs), shown()
    put(two)
    assert shown() == first
    assert serve(programs, text).endswith("changed")
    assert shown() != first
    put(one)
    assert programs.haproxies.reload(LB).endswith("changed"), "also without an upload"
    assert (shown(), worker(programs)) == (first, before)


@pytest.mark.third_haproxy
def test_a_certificate_is_taken_back_with_the_configuration_that_cannot_be_served(programs: Programs) -> None:
    authority, bind = Authority(), f"ssl crt {programs.paths.certificate(LB, 'web.pem')}"
    one, two = authority.server("one.example"), authority.server("two.example")
    programs.certificates.put(LB, "web.pem", one.bundle_pem)
    serve(programs, configuration(programs, "first", 1, bind=bind))
    programs.certificates.put(LB, "web.pem", two.bundle_pem)
    with programs.namespace.entered():
        taken = socket.create_server(("127.0.0.1", 8081))
    with taken, pytest.raises(RejectedByHaproxy, match="Address already in use"):
        serve(programs, configuration(programs, "second", 1, port=8081, bind=bind))
    assert programs.paths.certificate(LB, "web.pem").read_bytes() == one.bundle_pem


@pytest.mark.third_haproxy
def test_reloads_that_wait_for_each_other_are_one(programs: Programs) -> None:
    serve(programs, configuration(programs, "first", 1))
    said: list[str] = []

    def reload() -> None:
        said.append(programs.haproxies.reload(LB))

    threads = [threading.Thread(target=reload) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reloaded = [text for text in said if text.endswith("reloaded")]
    assert 1 <= len(reloaded) <= 3, said


@pytest.mark.third_haproxy
def test_a_removed_member_keeps_its_connections(programs: Programs) -> None:
    with programs.namespace.entered():
        member = socket.create_server(("127.0.0.1", 9000))
    text = configuration(programs, "first", 1).replace(b"mode http", b"mode tcp")
    text = text.replace(b"    http-request return status 200 content-type text/plain string first\n", b"")
    both = text.replace(b"server a 127.0.0.1:1", b"server a 127.0.0.1:9000").replace(b"127.0.0.1:2 weight 1", b"127.0.0.1:9000 weight 0")
    serve(programs, both)
    before = worker(programs)
    with programs.namespace.entered():
        client = socket.create_connection(ADDRESS, timeout=10)
    with member, client:
        server, _ = member.accept()
        with server:
            assert serve(programs, both.replace(b"    server a 127.0.0.1:9000 weight 1\n", b"")).endswith("changed")
            assert programs.haproxies.leaving.of(LB) == {f"{BACKEND}/a": 1}
            client.sendall(b"still here")
            assert server.recv(100) == b"still here"
        client.close()
        eventually(lambda: "a" not in weights(programs), "the removal")
    assert worker(programs) == before
    assert programs.haproxies.leaving.of(LB) == {}


def test_a_deletion_that_is_cut_short_is_finished(programs: Programs) -> None:
    serve(programs, configuration(programs, "first", 10))
    programs.haproxies.generations(LB).forget()
    after = programs.restarted()
    assert after.restore() == []
    after.services.close()
    assert after.services.programs() == ()
    assert after.haproxies.process(LB).pid() is None
    assert after.haproxies.loadbalancers() == []
    assert not programs.paths.loadbalancer(LB).exists()


# --- killed after every step ---

CHANGE = """
import sys
sys.path[:0] = [sys.argv[1]]
import os, signal
from pathlib import Path
import msgspec
from agent.check_scripts import CheckScripts
from agent.haproxies import Haproxies
from agent.haproxy import Haproxy
from agent.paths import Paths
from agent.services.supervised import SupervisedServices
paths = msgspec.json.decode(sys.argv[2], type=Paths, dec_hook=lambda kind, value: Path(value))
last = int(sys.argv[6])
seen = 0
def step(lb, word):
    global seen
    seen += 1
    print(word, flush=True)
    if seen == last:
        os.kill(os.getpid(), signal.SIGKILL)
services = SupervisedServices(paths.programs_run, paths.programs_state)
haproxies = Haproxies(paths, services, Haproxy(Path(sys.argv[3])), CheckScripts(paths, services), namespace=sys.argv[4], step=step)
services.restore()
haproxies.upload("%s", "%s", Path(sys.argv[5]).read_bytes())
haproxies.reload("%s")
""" % (AMPHORA, LB, LB)  # noqa: UP031


def change(programs: Programs, text: Path, last: int) -> tuple[list[str], bool]:
    """Another agent changes the load balancer, and is killed after `last` steps; the steps that it did, and whether it was killed."""
    paths = json.dumps({field: str(getattr(programs.paths, field)) for field in programs.paths.__struct_fields__})
    done = subprocess.run(
        [sys.executable, "-c", CHANGE, str(ROOT), paths, str(programs.haproxy.binary), programs.namespace.name, str(text), str(last)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, -signal.SIGKILL) or "Address already in use" in done.stderr, done.stderr
    return done.stdout.splitlines(), done.returncode == -signal.SIGKILL


#: What is changed to what: in which way, and what it may come to.
CHANGES = {"commands": ("first", 7, 8080), "reload": ("second", 7, 8080), "refused": ("third", 7, 8081)}


@pytest.mark.parametrize("kind", CHANGES)
def test_an_agent_killed_after_any_step_leaves_the_old_or_the_new(programs: Programs, tmp_path: Path, kind: str) -> None:
    word, weight, port = CHANGES[kind]
    old, new = configuration(programs, "first", 3), configuration(programs, word, weight, port=port)
    place = tmp_path / "text"
    place.write_bytes(new)
    serve(programs, old)
    with programs.namespace.entered():
        taken = socket.create_server(("127.0.0.1", 8081))
    steps, killed, last, before = [""], True, 0, programs
    with taken:
        while killed:
            last += 1
            before.services.close()
            steps, killed = change(programs, place, last)
            boots = last % 2 == 0
            if boots:
                kill_everything(programs.paths)
            after = before.restarted()
            after.restore()
            eventually(lambda after=after: after.haproxies.running(LB), "it serves")  # type: ignore[misc]
            generations = after.haproxies.generations(LB)
            assert not generations.undecided(), (last, steps)
            text = after.paths.haproxy_cfg(LB).read_bytes()
            assert text in ([old] if kind == "refused" else [old, new]), (last, steps)
            assert answer(after) == ("first" if text == old else word), (last, steps)
            assert weights(after) == {"a": 3 if text == old else weight, "b": 1}, (last, steps)
            # All that was left over must not be in the way.
            serve(after, old)
            assert answer(after) == "first"
            assert weights(after) == {"a": 3, "b": 1}
            before = after
        before.services.close()
    assert last > 5, steps
    expected = {"commands": {"commands", "commanded"}, "reload": {"reload"}, "refused": {"given back", "loading the old one"}}[kind]
    assert {"staged", "uploaded", "loading", *expected} <= set(steps), steps
