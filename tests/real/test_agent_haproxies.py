"""HAProxy under the agent: configurations as Octavia's controller sends them, in a namespace, through crashes, refusals and reboots."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.polling import eventually, settled
from support.programs import AMPHORA, Programs, amphora, kill_everything

from agent.amphora_additions import peer_name
from agent.errors import NotFoundError, RejectedByHaproxy
from agent.haproxies import Listener
from agent.haproxy import Haproxy
from agent.heartbeat.counters import load
from agent.heartbeat.heart import Heart
from agent.settings import LiveSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
LB = "5f2b3c1d-9a8e-4c7b-8d6f-0e1a2b3c4d5e"
OTHER = "5f2b3c1d-9a8e-4c7b-8d6f-0e1a2b3c4d5f"
LISTENER = "0b1c2d3e-4f5a-4b6c-8d7e-9f0a1b2c3d4e"
PROMETHEUS = "0b1c2d3e-4f5a-4b6c-8d7e-9f0a1b2c3d4f"


def configuration(
    programs: Programs, word: str = "first", port: int = 8080, *, lb: str = LB, of_global: str = "", extra: str = ""
) -> bytes:
    """As Octavia's templates write it; a request is answered with `word`."""
    return f"""# Configuration for loadbalancer {lb}
global
    daemon
    user nobody
    log /dev/log local0
    stats socket {programs.paths.stats_socket(lb)} mode 0666 level user
    server-state-file {programs.paths.servers_state(lb)}
    maxconn 1000
    {of_global}

defaults
    no log
    retries 3
    option redispatch
    option splice-request
    option splice-response
    option http-keep-alive

peers {lb.replace("-", "")}_peers
    peer {peer_name(AMPHORA)} 127.0.0.1:1025
    peer somebody 127.0.0.2:1025

frontend {LISTENER}
    maxconn 1000
    bind 127.0.0.1:{port}
    mode http
    default_backend pool:{LISTENER}
    timeout client 50000

backend pool:{LISTENER}
    mode http
    balance roundrobin
    load-server-state-from-file global
    timeout connect 5000
    timeout server 50000
    http-request return status 200 content-type text/plain string {word}
    server member 127.0.0.1:1 weight 1
{extra}
""".encode()


def answer(programs: Programs, port: int = 8080) -> str:
    return programs.namespace.run("curl", "-sS", "--max-time", "5", f"http://127.0.0.1:{port}/")


def refused(programs: Programs, port: int = 8080) -> bool:
    with programs.namespace.entered(), socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) != 0


def pid(programs: Programs, lb: str = LB) -> int:
    return eventually(lambda: programs.services.pid(f"haproxy-{lb}"), "haproxy runs")  # type: ignore[return-value]


def worker(programs: Programs, lb: str = LB) -> int:
    return int(programs.haproxies.stats(lb).show_info()["Pid"])


@pytest.fixture
def programs(haproxy: Haproxy) -> Iterator[Programs]:
    with amphora(haproxy) as made:
        yield made


@pytest.fixture
def serving(programs: Programs) -> Programs:
    programs.haproxies.upload(AMPHORA, LB, configuration(programs))
    programs.haproxies.start(LB)
    return programs


def test_from_upload_to_delete(programs: Programs) -> None:
    haproxies, text = programs.haproxies, configuration(programs)
    for call in (haproxies.config, haproxies.start, haproxies.reload, haproxies.stop):
        with pytest.raises(NotFoundError, match=LB):
            call(LB)
    haproxies.delete(LB)
    assert haproxies.loadbalancers() == []

    haproxies.upload(AMPHORA, LB, text)
    assert haproxies.config(LB) == text == programs.paths.haproxy_cfg(LB).read_bytes()
    assert haproxies.loadbalancers() == [LB]
    assert haproxies.listeners() == [Listener("OFFLINE", LISTENER, "HTTP")]
    assert not haproxies.running(LB)

    assert haproxies.start(LB) == f"haproxy for {LB} started"
    assert answer(programs) == "first"
    assert haproxies.running(LB)
    assert haproxies.listeners() == [Listener("ACTIVE", LISTENER, "HTTP")]
    first = pid(programs)
    assert haproxies.start(LB) == f"haproxy for {LB} runs"
    assert pid(programs) == first

    haproxies.stop(LB)
    assert refused(programs)
    assert not Path(f"/proc/{first}").exists()
    assert haproxies.listeners() == [Listener("OFFLINE", LISTENER, "HTTP")]
    haproxies.stop(LB)

    programs.certificates.put(LB, "a.pem", b"secret")
    haproxies.start(LB)
    haproxies.delete(LB)
    assert refused(programs)
    assert haproxies.loadbalancers() == []
    left = [path for top in (programs.paths.base, programs.paths.run, programs.paths.state) for path in top.rglob("*") if LB in path.name]
    assert [path.suffix for path in left] == [".log"]


def test_what_it_runs_as(serving: Programs) -> None:
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{worker(serving)}/status").read_text().splitlines())
    assert status["Uid"].split() == ["65534"] * 4
    assert status["Gid"].split() == ["65534"] * 4
    assert Path(f"/proc/{pid(serving)}/ns/net").stat().st_ino == Path("/run/netns", serving.namespace.name).stat().st_ino
    for path, mode in (
        (serving.paths.admin_socket(LB), 0o600),
        (serving.paths.master_socket(LB), 0o600),
        (serving.paths.stats_socket(LB), 0o666),
    ):
        assert path.stat().st_mode & 0o777 == mode, path
    assert serving.paths.haproxy_cfg(LB).stat().st_mode & 0o777 == 0o600
    assert serving.paths.haproxy_pid(LB).stat().st_mode & 0o777 == 0o644, "the VRRP check may run as somebody else"
    assert serving.haproxies.stats(LB).ask("show env")  # only an administrator may ask


def test_a_reload_serves_what_was_uploaded_and_no_sooner(serving: Programs) -> None:
    master, old = pid(serving), worker(serving)
    second = configuration(serving, "second")
    serving.haproxies.upload(AMPHORA, LB, second)
    assert serving.haproxies.config(LB) == second
    assert answer(serving) == "first"
    assert serving.haproxies.reload(LB) == f"haproxy for {LB} reloaded"
    assert {answer(serving) for _ in range(50)} == {"second"}
    assert (pid(serving), worker(serving) != old) == (master, True)
    assert serving.paths.haproxy_cfg(LB).read_bytes() == second
    # Without anything new it reloads as well: certificates may have changed.
    old = worker(serving)
    serving.haproxies.reload(LB)
    assert worker(serving) != old


def test_a_reload_of_a_stopped_one_starts_it(serving: Programs) -> None:
    serving.haproxies.stop(LB)
    assert serving.haproxies.reload(LB) == f"haproxy for {LB} started"
    assert answer(serving) == "first"


def test_a_start_with_something_new_serves_it(serving: Programs) -> None:
    serving.haproxies.upload(AMPHORA, LB, configuration(serving, "second"))
    serving.haproxies.start(LB)
    assert answer(serving) == "second"


def test_an_upload_that_is_refused_changes_nothing(serving: Programs) -> None:
    with pytest.raises(RejectedByHaproxy, match="unknown keyword 'bogus'"):
        serving.haproxies.upload(AMPHORA, LB, configuration(serving, extra="    bogus"))
    with pytest.raises(RejectedByHaproxy):
        serving.haproxies.upload(AMPHORA, OTHER, b"\xff\x00")
    assert serving.haproxies.loadbalancers() == [LB]
    assert serving.haproxies.config(LB) == configuration(serving)
    serving.haproxies.reload(LB)
    assert answer(serving) == "first"


def test_what_a_text_says_by_itself_is_kept(programs: Programs) -> None:
    group = "nogroup"
    said = f"group {group}\n    hard-stop-after 7s\n    mworker-max-reloads 3"
    programs.haproxies.upload(AMPHORA, LB, configuration(programs, of_global=said))
    programs.haproxies.start(LB)
    assert answer(programs) == "first"
    assert "already specified" not in programs.services.words(f"haproxy-{LB}")
    assert "group" not in programs.paths.haproxy_additions(LB).read_text()


def test_a_reload_that_haproxy_refuses_leaves_what_served(serving: Programs) -> None:
    """It passes the check, but the port is somebody else's."""
    master, old = pid(serving), worker(serving)
    with serving.namespace.entered():
        taken = socket.create_server(("127.0.0.1", 8081))
    with taken:
        serving.haproxies.upload(AMPHORA, LB, configuration(serving, "second", 8081))
        with pytest.raises(RejectedByHaproxy, match="Address already in use"):
            serving.haproxies.reload(LB)
        assert answer(serving) == "first"
        assert (pid(serving), worker(serving)) == (master, old)
        assert serving.haproxies.config(LB) == configuration(serving) == serving.paths.haproxy_cfg(LB).read_bytes()
        assert serving.haproxies.listeners() == [Listener("ACTIVE", LISTENER, "HTTP")]
    # The next boot serves it too, and so does a crash.
    os.kill(master, signal.SIGKILL)
    eventually(lambda: serving.haproxies.running(LB), "it serves again")
    assert answer(serving) == "first"
    serving.haproxies.upload(AMPHORA, LB, configuration(serving, "third", 8081))
    serving.haproxies.reload(LB)
    assert answer(serving, 8081) == "third"


def test_a_first_start_that_fails_is_not_tried_again(programs: Programs) -> None:
    with programs.namespace.entered():
        taken = socket.create_server(("127.0.0.1", 8080))
    with taken:
        programs.haproxies.upload(AMPHORA, LB, configuration(programs))
        with pytest.raises(RejectedByHaproxy, match="Address already in use"):
            programs.haproxies.start(LB)
    assert programs.services.programs() == ()
    assert programs.haproxies.listeners() == [Listener("OFFLINE", LISTENER, "HTTP")]
    programs.haproxies.start(LB)
    assert answer(programs) == "first"


@pytest.mark.parametrize("who", ["master", "worker"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_crashed_one_comes_back(serving: Programs, who: str, number: signal.Signals) -> None:
    serving.haproxies.upload(AMPHORA, LB, configuration(serving, "second"))
    master = pid(serving)
    os.kill(master if who == "master" else worker(serving), number)
    eventually(lambda: pid(serving) != master and serving.haproxies.running(LB), "it serves again")
    assert answer(serving) == "first", "what was uploaded was never told to serve"
    serving.haproxies.reload(LB)
    assert answer(serving) == "second"


def test_one_that_cannot_come_back_is_reported_until_it_can(serving: Programs) -> None:
    cfg = serving.paths.haproxy_cfg(LB)
    good = cfg.read_bytes()
    cfg.write_bytes(b"nonsense\n")
    os.kill(pid(serving), signal.SIGKILL)
    eventually(lambda: serving.services.restarts(f"haproxy-{LB}") >= 2, "attempts")
    cfg.write_bytes(good + b"    nonsense\n")
    assert serving.haproxies.listeners() == [Listener("ERROR", LISTENER, "HTTP")]
    assert not serving.haproxies.running(LB)
    cfg.write_bytes(good)
    eventually(lambda: serving.haproxies.listeners() == [Listener("ACTIVE", LISTENER, "HTTP")], "it serves again")


def test_a_reload_brings_back_one_that_cannot_come_back(serving: Programs) -> None:
    serving.paths.haproxy_cfg(LB).write_bytes(b"nonsense\n")
    os.kill(pid(serving), signal.SIGKILL)
    eventually(lambda: serving.services.restarts(f"haproxy-{LB}") >= 1, "an attempt")
    serving.haproxies.upload(AMPHORA, LB, configuration(serving, "second"))
    serving.haproxies.reload(LB)
    assert answer(serving) == "second"


def test_a_hanging_worker_does_not_serve(serving: Programs) -> None:
    stopped = worker(serving)
    os.kill(stopped, signal.SIGSTOP)
    try:
        assert serving.haproxies.status(LB) == "ERROR"
    finally:
        os.kill(stopped, signal.SIGCONT)
    assert serving.haproxies.status(LB) == "ACTIVE"


def test_one_that_is_begun_anew_is_wanted_all_the_time(serving: Programs) -> None:
    """Or an agent that is killed meanwhile would leave it stopped."""
    process = serving.haproxies.process(LB)
    wish = serving.paths.programs_state / f"{process.name}.json"
    before, seen, done = process.pid(), [], threading.Event()

    def watch() -> None:
        while not done.is_set():
            seen.append(wish.exists())

    watching = threading.Thread(target=watch)
    watching.start()
    process.restart()
    done.set()
    watching.join()
    assert process.pid() not in (None, before)
    assert all(seen)


def test_something_elses_configuration_is_no_obstacle(programs: Programs) -> None:
    link = programs.paths.haproxy_cfg(LB)
    link.parent.mkdir(parents=True)
    link.write_text("of an agent before\n")
    programs.haproxies.upload(AMPHORA, LB, configuration(programs))
    programs.haproxies.start(LB)
    assert answer(programs)


def test_the_state_of_servers_outlives_a_reload(serving: Programs) -> None:
    backend = f"pool:{LISTENER}"
    serving.haproxies.stats(LB).ask(f"set weight {backend}/member 42")
    serving.haproxies.stats(LB).ask(f"set server {backend}/member state drain")
    serving.haproxies.reload(LB)
    assert serving.paths.servers_state(LB).read_text().startswith("1\n# be_id")
    state = serving.haproxies.stats(LB).servers_state(["srv_name"], ["srv_uweight"])
    assert state.numbers["srv_uweight"][0] == 42


def test_connections_outlive_reloads_and_end_with_a_stop(serving: Programs) -> None:
    with serving.namespace.entered():
        connection = socket.create_connection(("127.0.0.1", 8080), timeout=10)
    with connection:
        # Half a request: an idle connection would be closed by a worker that is replaced.
        connection.sendall(b"GET / HTTP/1.1\r\n")
        first = worker(serving)
        eventually(lambda: serving.haproxies.stats(LB).show_info()["CurrConns"] == "1", "the connection")
        for _ in range(3):
            serving.haproxies.reload(LB)
        [old] = eventually(lambda: len(found := serving.haproxies.old_workers(LB)) == 1 and found, "the idle workers' end")  # type: ignore[misc]
        assert (old.pid, old.connections) == (first, 1)
        connection.sendall(b"Host: x\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
        connection.sendall(b"GET /")
        serving.haproxies.stop(LB)
        assert refused(serving)
        while connection.recv(4096):
            pass
    assert serving.haproxies.old_workers(LB) == []


@pytest.mark.parametrize("way", ["stop", "restart"])
def test_what_it_counted_is_looked_at_before_it_ends(serving: Programs, tmp_path: Path, way: str) -> None:
    conf = tmp_path / "agent.conf"
    conf.write_text("[DEFAULT]\n")
    heart = Heart(LiveSettings(conf), serving.paths, serving.haproxies.loadbalancers, lambda: False)
    serving.haproxies.ending.append(heart.last_look)
    answer(serving)
    heart.beat()
    for _ in range(3):
        answer(serving)
    if way == "stop":
        serving.haproxies.stop(LB)
    else:
        serving.haproxies.process(LB).restart()
    heart.stop()
    assert load(serving.paths.state / "counters.json", "").owed[LISTENER].connections == 4


def test_old_workers_are_limited(programs: Programs) -> None:
    programs.haproxies.upload(AMPHORA, LB, configuration(programs, of_global="mworker-max-reloads 2\n    hard-stop-after 1h"))
    programs.haproxies.start(LB)
    with ExitStack() as stack:
        for _ in range(5):
            with programs.namespace.entered():
                connection = stack.enter_context(socket.create_connection(("127.0.0.1", 8080), timeout=10))
            connection.sendall(b"GET / HTTP/1.1\r\n")
            eventually(lambda: programs.haproxies.stats(LB).show_info()["CurrConns"] == "1", "the connection")
            programs.haproxies.reload(LB)
        eventually(lambda: 0 < len(programs.haproxies.old_workers(LB)) <= 3, "the end of those that have seen too many reloads")


@pytest.mark.parametrize("fine", [True, False])
def test_one_that_does_not_survive_a_reload_comes_back(serving: Programs, fine: bool) -> None:
    """With the new configuration where that can serve, else with the one that did."""
    master = pid(serving)

    def kill(_lb: str, word: str) -> None:
        if word == "load":
            os.kill(master, signal.SIGKILL)

    serving.steps.append(kill)
    with serving.namespace.entered():
        taken = socket.create_server(("127.0.0.1", 8081))
    with taken:
        serving.haproxies.upload(AMPHORA, LB, configuration(serving, "second", 8080 if fine else 8081))
        if fine:
            serving.haproxies.reload(LB)
        else:
            with pytest.raises(RejectedByHaproxy, match="Address already in use"):
                serving.haproxies.reload(LB)
    assert pid(serving) != master
    assert answer(serving) == ("second" if fine else "first")
    assert serving.haproxies.status(LB) == "ACTIVE"
    assert not serving.haproxies.generations(LB).undecided()


def test_one_that_has_no_socket_any_more_is_given_the_time_to_end(serving: Programs) -> None:
    """A process that is killed is without its sockets before it is seen to have ended."""
    master = pid(serving)
    ending = threading.Timer(0.5, os.kill, (master, signal.SIGKILL))

    def vanish(_lb: str, word: str) -> None:
        if word == "load":
            serving.paths.master_socket(LB).unlink()
            ending.start()

    serving.steps.append(vanish)
    serving.haproxies.upload(AMPHORA, LB, configuration(serving, "second"))
    serving.haproxies.reload(LB)
    ending.join()
    assert pid(serving) != master
    assert answer(serving) == "second"


def test_what_is_uploaded_before_a_crash_is_settled_is_loaded_next(serving: Programs) -> None:
    """An agent that starts answers before all is in order."""

    class Killed(BaseException):
        pass

    def kill(_lb: str, word: str) -> None:
        if word == "load":
            raise Killed

    serving.steps.append(kill)
    serving.haproxies.upload(AMPHORA, LB, configuration(serving, "second"))
    with pytest.raises(Killed):
        serving.haproxies.reload(LB)
    again = serving.restarted()
    again.services.restore()
    again.haproxies.upload(AMPHORA, LB, configuration(serving, "third"))
    assert again.haproxies.restore() == []
    assert answer(again) == "second"
    assert b"third" in again.haproxies.config(LB)
    again.haproxies.reload(LB)
    assert answer(again) == "third"
    assert again.haproxies.generations(LB).linked("uploaded") is None
    again.services.close()


def test_members_are_pinged(programs: Programs) -> None:
    """As Octavia's PING monitors have it: HAProxy calls our script, as nobody."""
    programs.scripts.install()
    programs.namespace.sysctl("ipv4/ping_group_range", "0 2147483647")
    text = configuration(programs, of_global="external-check\n    insecure-fork-wanted").replace(
        b"    server member 127.0.0.1:1 weight 1\n",
        b"    timeout check 2s\n    option external-check\n    external-check command " + str(programs.paths.ping_script).encode() + b"\n"
        b"    server up 127.0.0.1:1 weight 1 check inter 1s fall 1 rise 1\n"
        b"    server down 203.0.113.1:1 weight 1 check inter 1s fall 1 rise 1\n",
    )
    programs.haproxies.upload(AMPHORA, LB, text)
    programs.haproxies.start(LB)

    def statuses() -> dict[str, tuple[str, str]]:
        rows = programs.haproxies.stats(LB).show_stat()
        return {row["svname"]: (row["status"], row["check_status"]) for row in rows if row["svname"] in ("up", "down")}

    eventually(lambda: statuses() == {"up": ("UP", "PROCOK"), "down": ("DOWN", "PROCERR")}, "the members' status")


def test_too_few_files_do_not_stop_it_and_are_told(programs: Programs) -> None:
    text = configuration(programs).replace(b"maxconn 1000\n    \n", b"maxconn 1000000\n")
    assert b"maxconn 1000000" in text
    programs.haproxies.upload(AMPHORA, LB, text)
    said = programs.haproxies.start(LB)
    assert answer(programs) == "first"
    allowed = int(programs.haproxies.stats(LB).show_info()["Ulimit-n"])
    assert allowed >= 2_000_000 or f"it may use {allowed} file descriptors" in said


def test_two_load_balancers_do_not_meet(serving: Programs) -> None:
    other = configuration(serving, "other", 8082, lb=OTHER).replace(b"127.0.0.1:1025", b"127.0.0.1:1026")
    serving.haproxies.upload(AMPHORA, OTHER, other)
    serving.haproxies.start(OTHER)
    assert (answer(serving), answer(serving, 8082)) == ("first", "other")
    assert serving.haproxies.loadbalancers() == [LB, OTHER]
    serving.haproxies.delete(LB)
    assert answer(serving, 8082) == "other"


def test_a_restarted_agent_goes_on(serving: Programs) -> None:
    master = pid(serving)
    serving.haproxies.upload(AMPHORA, LB, configuration(serving, "second"))
    with next_agent(serving) as after:
        assert after.restore() == []
        assert pid(after) == master
        assert (answer(after), after.haproxies.status(LB)) == ("first", "ACTIVE")
        after.haproxies.reload(LB)
        assert answer(after) == "second"
        os.kill(master, signal.SIGKILL)
        eventually(lambda: pid(after) != master and after.haproxies.running(LB), "it serves again")


def test_after_a_reboot_all_that_served_serves(serving: Programs) -> None:
    for path in (serving.paths.master_socket(LB), serving.paths.stats_socket(LB)):
        assert path.exists()
    serving.services.close()
    kill_everything(serving.paths)
    for path in sorted(serving.paths.run.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    with next_agent(serving) as after:
        assert refused(after)
        assert after.restore() == []
        assert answer(after) == "first"


@pytest.mark.parametrize("boots", [False, True])
def test_a_reload_that_nobody_saw_the_end_of_is_judged_by_the_next_agent(serving: Programs, boots: bool) -> None:
    """The agent was killed when the new configuration was in place, and it is one that cannot serve; or one that can."""
    for word, port, expected in (("second", 8081, "first"), ("third", 8080, "third")):
        with serving.namespace.entered():
            taken = socket.create_server(("127.0.0.1", 8081))
        with taken:
            serving.haproxies.upload(AMPHORA, LB, configuration(serving, word, port))
            generations = serving.haproxies.generations(LB)
            generations.load(generations.latest)
            serving.services.close()
            if boots:
                kill_everything(serving.paths)
            with next_agent(serving) as after:
                problems = after.restore()
                assert ("Address already in use" in str(problems)) == (word == "second")
                eventually(lambda after=after: after.haproxies.running(LB), "it serves")  # type: ignore[misc]
                assert answer(after) == expected
                assert after.haproxies.config(LB) == configuration(after, expected) == after.paths.haproxy_cfg(LB).read_bytes()
                assert not after.haproxies.generations(LB).undecided()


@contextmanager
def next_agent(before: Programs) -> Iterator[Programs]:
    after = before.restarted()
    try:
        yield after
    finally:
        after.services.close()


CHANGES = """
import sys
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/tests"]
import itertools
from pathlib import Path
from agent.check_scripts import CheckScripts
from agent.haproxies import Haproxies
from agent.haproxy import Haproxy
from agent.paths import Paths
from agent.services.supervised import SupervisedServices
import msgspec
paths = msgspec.json.decode(sys.argv[2], type=Paths, dec_hook=lambda kind, value: Path(value))
services = SupervisedServices(paths.programs_run, paths.programs_state)
haproxies = Haproxies(paths, services, Haproxy(Path(sys.argv[3])), CheckScripts(paths, services), namespace=sys.argv[4])
services.restore()
haproxies.restore()
print("restored", flush=True)
template = Path(sys.argv[5]).read_text()
for number in itertools.count():
    haproxies.upload("%s", "%s", template.replace("WORD", f"{sys.argv[6]}-{number}").encode())
    haproxies.reload("%s")
""" % (AMPHORA, LB, LB)  # noqa: UP031


def test_an_agent_killed_at_any_moment_leaves_one_haproxy_that_serves(serving: Programs, haproxy: Haproxy, tmp_path: Path) -> None:
    """Reloads in a loop, the agent killed at random moments: no request fails, and afterwards what is on the disk is what serves."""
    template = tmp_path / "template"
    template.write_bytes(configuration(serving, "WORD"))
    paths = json.dumps({field: str(getattr(serving.paths, field)) for field in serving.paths.__struct_fields__})
    serving.services.close()
    dice = random.Random(11)
    with asking(serving) as asked:
        for attempt in range(12):
            code = [
                sys.executable,
                "-c",
                CHANGES,
                str(ROOT),
                paths,
                str(haproxy.binary),
                serving.namespace.name,
                str(template),
                f"a{attempt}",
            ]
            with subprocess.Popen(code, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
                assert process.stdout is not None
                assert process.stderr is not None
                line = process.stdout.readline()
                assert line == "restored\n", line + process.stderr.read()
                time.sleep(dice.uniform(0, 1.0))
                process.kill()
                process.wait()
        with next_agent(serving) as after:
            assert after.restore() == []
            assert after.haproxies.running(LB)
            loaded = after.paths.haproxy_cfg(LB).read_text()
            assert f"string {answer(after)}\n" in loaded
            assert not after.haproxies.generations(LB).undecided()
            cfg = str(after.paths.loading(LB))
            settled(lambda: len(processes_with(cfg)), 2, "the number of HAProxy's processes, a master and a worker,")
            after.haproxies.upload(AMPHORA, LB, configuration(after, "finally"))
            after.haproxies.reload(LB)
            assert answer(after) == "finally"
    assert asked.failed == []
    assert asked.answered > 100


def processes_with(words: str) -> list[str]:
    """The command lines that have these words."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode() if entry.name.isdigit() else ""
        except (FileNotFoundError, ProcessLookupError):
            continue
        if words in line:
            found.append(line)
    return found


class Asking:
    """Somebody who asks again and again, each time on a new connection."""

    def __init__(self) -> None:
        self.answered = 0
        self.failed: list[str] = []
        self.ended = threading.Event()

    def ask(self) -> None:
        while not self.ended.wait(0.005):
            try:
                with socket.create_connection(("127.0.0.1", 8080), timeout=10) as connection:
                    connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
                    said = b""
                    while chunk := connection.recv(4096):
                        said += chunk
                if not said.startswith(b"HTTP/1.1 200"):
                    self.failed.append(repr(said))
                self.answered += 1
            except OSError as error:
                self.failed.append(repr(error))


@contextmanager
def asking(programs: Programs) -> Iterator[Asking]:
    made = Asking()
    thread = threading.Thread(target=made.ask)
    with programs.namespace.entered():
        thread.start()  # threads begin where their starter is
    try:
        yield made
    finally:
        made.ended.set()
        thread.join()
