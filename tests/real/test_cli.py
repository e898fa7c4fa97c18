"""The command as people and programs use it: its real process, the real HAProxy, real terminals, and everything that can go wrong."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import socket
import stat
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.graphs import listener, pool
from support.polling import eventually

from hydria.lab.backends import EchoBackend, HttpBackend
from hydria.lab.certificates import Authority
from hydria.lab.client import Connection, fetch
from hydria.lab.ports import HeldPort

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agent.haproxy import Haproxy
    from hydria.lab.backends import Backend

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "hydria"]

#: Takes from root what lets it read everything, so that permissions mean something.
POWERLESS = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--"] if os.geteuid() == 0 else []

WEB = """\
loadbalancer:
  name: demo
  vip_address: 127.0.0.1
  listeners:
    - name: web
      protocol: HTTP
      protocol_port: 8080
      default_pool:
        name: app
        protocol: HTTP
        lb_algorithm: ROUND_ROBIN
        members:
          - {name: one, address: 127.0.0.1, protocol_port: 8001}
"""
WRONG = WEB.replace("protocol_port: 8080", "protocol_port: 80800").replace("protocol: HTTP\n        lb", "protocol: HTTPX\n        lb")
TLS = WEB.replace(
    "protocol: HTTP\n      protocol_port", "protocol: TERMINATED_HTTPS\n      default_tls_container_ref: site\n      protocol_port"
)

Finished = subprocess.CompletedProcess[bytes]


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "TERM", "COLUMNS")}
    return kept | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", "TERM": "xterm"} | more


def hydria(*arguments: str | Path, given: str | bytes = b"", before: Sequence[str] = (), env: Mapping[str, str] | None = None) -> Finished:
    text = given.encode() if isinstance(given, str) else given
    command = [*before, *COMMAND, *map(str, arguments)]
    return subprocess.run(command, input=text, capture_output=True, env=env or environment(), check=False, timeout=60)


def terminal_with(*arguments: str | Path, given: str = "", env: Mapping[str, str] | None = None) -> tuple[int, subprocess.Popen[bytes]]:
    """The command, and our end of the terminal that its output and errors go to."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)], stdin=subprocess.PIPE, stdout=theirs, stderr=theirs, env=env or environment()
    )
    os.close(theirs)
    assert process.stdin is not None
    process.stdin.write(given.encode())
    process.stdin.close()
    return ours, process


def read_from(terminal: int) -> bytes:
    """What it has to show next; b"" when nobody writes to it any more."""
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux's way to say that the other side of a terminal has been closed
        return b""


def on_a_terminal(*arguments: str | Path, given: str = "", env: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Exit code, and what a terminal got to show."""
    terminal, process = terminal_with(*arguments, given=given, env=env)
    with process:
        shown = b""
        while chunk := read_from(terminal):
            shown += chunk
        os.close(terminal)
    return process.returncode, shown.decode().replace("\r\n", "\n")


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    place = tmp_path / "web.yaml"
    place.write_text(WEB)
    return place


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    place = tmp_path / "secrets"
    place.mkdir()
    (place / "site.pem").write_bytes(Authority().server("site.example").bundle_pem)
    return place


# What it says of itself


def test_help_names_every_verb_and_loads_none() -> None:
    code = (
        "import sys\nfrom hydria.cli import _run\nfrom hydria.cli.output import Output\n"
        "assert _run(['--help'], Output()) == 0\n"
        "heavy = {'rich', 'yaml', 'msgspec', 'jinja2', 'cryptography', 'compiler', 'agent', 'subprocess', 'asyncio'}\n"
        "print('loaded:', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=True)
    assert all(verb in done.stdout for verb in ("check", "render", "run"))
    assert done.stdout.splitlines()[-1] == "loaded: []"


@pytest.mark.parametrize("verb", ["check", "render", "run"])
def test_every_verb_explains_itself_and_has_json(verb: str) -> None:
    done = hydria(verb, "--help")
    assert done.returncode == 0
    assert b"--json" in done.stdout
    assert b"GRAPH" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["chekc"], "check"),
        (["render"], "Missing argument 'GRAPH'"),
        (["check", "-", "b"], "unexpected extra argument"),
        (["check", "--bogus", "-"], "--bogus"),
        (["check", "/nowhere.yaml"], "there is no file '/nowhere.yaml'"),
        (["check", "/etc"], "'/etc' is a directory, not a file"),
        (["check", "/etc/hostname/x"], "below a file"),
        (["check", ""], "there is no file ''"),
        (["check", "-", "--secrets", "/nowhere"], "/nowhere"),
        (["check", "-", "--secrets", "/etc/hostname"], "is a file"),
        (["render", "-", "--target", "haproxi=3.0"], "did you mean 'haproxy'?"),
        (["render", "-", "--target", "haproxy=2.4,cpus=x"], "--target"),
        (["run", "-", "--bind", "example.com"], "an IPv4 or IPv6 address is needed"),
        (["run", "-", "--port-offset", "x"], "--port-offset"),
        (["render", "-", "-o", "/tmp/x", "--file", "haproxy.cfg"], "--file"),
    ],
)
def test_wrong_use_is_2_and_says_what_would_be_right(arguments: list[str], words: str) -> None:
    done = hydria(*arguments, given=WEB)
    assert done.returncode == 2, done
    assert words in done.stderr.decode()
    assert done.stdout == b""
    assert b"Traceback" not in done.stderr


# render


def test_render_to_standard_output(graph: Path) -> None:
    done = hydria("render", graph)
    assert done.returncode == 0
    assert b"bind 127.0.0.1:8080" in done.stdout
    assert done.stderr == b""
    assert hydria("render", "-", given=WEB).stdout == done.stdout, "a file and standard input are the same"


def test_render_takes_a_pipe_from_the_shell(graph: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m hydria render <(cat {graph})"], capture_output=True, env=environment(), check=True
    )
    assert b"bind 127.0.0.1:8080" in done.stdout


def test_render_with_problems_is_1_and_writes_nothing(tmp_path: Path) -> None:
    done = hydria("render", "-", "-o", tmp_path / "out", given=WRONG)
    assert done.returncode == 1
    assert done.stdout == b""
    assert b"<stdin>:7:7: error: loadbalancer.listeners[0].protocol_port" in done.stderr
    assert done.stderr.endswith(b"<stdin>: 2 errors\n")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("verb", "given"),
    [("render", b""), ("run", b"")]
    + [("check", given) for given in (b"", b"\n", b"[]", b"{", b"\0", b"\xff\xfe", b"loadbalancer: 1", b"&a [*a]", b"null", b"{}")],
)
def test_what_is_no_graph_is_a_problem_not_a_crash(verb: str, given: bytes) -> None:
    done = hydria(verb, "-", given=given)
    assert done.returncode == 1, done
    assert b"1 error" in done.stdout + done.stderr or b"errors" in done.stdout + done.stderr
    assert b"Traceback" not in done.stderr


def test_render_to_a_directory_that_haproxy_then_takes(haproxy: Haproxy, tmp_path: Path, secrets: Path) -> None:
    version = ".".join(map(str, haproxy.version))
    done = hydria("render", "-", "-o", tmp_path / "out", "--secrets", secrets, "--target", f"haproxy={version}", given=TLS)
    assert done.returncode == 0, done.stderr
    assert done.stdout == b""
    assert haproxy.check(tmp_path / "out").ok
    keys = [place for place in (tmp_path / "out").rglob("*") if place.is_file() and b"PRIVATE KEY" in place.read_bytes()]
    assert keys
    assert {stat.S_IMODE(place.stat().st_mode) for place in keys} == {0o600}


def test_render_replaces_only_what_it_made(tmp_path: Path, graph: Path) -> None:
    out = tmp_path / "out"
    assert hydria("render", graph, "-o", out).returncode == 0
    assert "bind 127.0.0.1:8080" in (out / "haproxy.cfg").read_text()
    graph.write_text(WEB.replace("8080", "9090"))
    assert hydria("render", graph, "-o", out).returncode == 0
    assert "bind 127.0.0.1:9090" in (out / "haproxy.cfg").read_text()
    assert "bind 127.0.0.1:8080" not in (out / "haproxy.cfg").read_text()
    (out / "notes.txt").write_text("mine")
    done = hydria("render", graph, "-o", out)
    assert done.returncode == 2
    assert b"notes.txt" in done.stderr
    assert (out / "notes.txt").read_text() == "mine"


def test_render_refuses_a_file_and_a_parent_that_is_not_there(tmp_path: Path, graph: Path) -> None:
    assert hydria("render", graph, "-o", graph).returncode == 2
    assert graph.read_text() == WEB
    done = hydria("render", graph, "-o", tmp_path / "a" / "b")
    assert done.returncode == 2
    assert b"make it first" in done.stderr


def test_render_shows_the_file_that_is_asked_for(secrets: Path) -> None:
    done = hydria("render", "-", "--secrets", secrets, given=TLS)
    assert done.returncode == 0
    assert b"crt-list" in done.stdout
    others = done.stderr.decode().partition("also holds ")[2].partition(" (")[0].split(", ")
    assert others
    for name in others:
        shown = hydria("render", "-", "--secrets", secrets, "--file", name, given=TLS)
        assert shown.returncode == 0
        assert shown.stdout
        assert shown.stderr == b""
    missing = hydria("render", "-", "--secrets", secrets, "--file", "nothing.cfg", given=TLS)
    assert missing.returncode == 2
    assert all(name in missing.stderr.decode() for name in (*others, "haproxy.cfg"))


def test_a_secret_file_is_not_shown_on_a_terminal(secrets: Path) -> None:
    files = json.loads(hydria("render", "-", "--secrets", secrets, "--json", given=TLS).stdout)["files"]
    name = next(file["path"] for file in files if file["secret"])
    code, shown = on_a_terminal("render", "-", "--secrets", secrets, "--file", name, given=TLS)
    assert code == 2
    assert "PRIVATE KEY" not in shown
    assert "redirect it" in shown
    assert b"PRIVATE KEY" in hydria("render", "-", "--secrets", secrets, "--file", name, given=TLS).stdout


def test_a_secret_that_is_not_there_is_a_problem_with_the_reason(secrets: Path) -> None:
    (secrets / "site.pem").rename(secrets / "other.pem")
    done = hydria("render", "-", "--secrets", secrets, given=TLS)
    assert done.returncode == 1
    assert b"default_tls_container_ref" in done.stderr
    assert b"site.pem" in done.stderr
    assert b"--secrets DIR" in hydria("render", "-", given=TLS).stderr


def test_a_file_url_is_relative_to_the_graph(tmp_path: Path, secrets: Path) -> None:
    (tmp_path / "graph.yaml").write_text(TLS.replace("ref: site", f"ref: file:{secrets.name}/site.pem"))
    assert hydria("check", tmp_path / "graph.yaml").returncode == 0


def test_render_as_json_is_a_whole_answer(tmp_path: Path, secrets: Path) -> None:
    done = hydria("render", "-", "--secrets", secrets, "--json", given=TLS)
    answer = json.loads(done.stdout)
    assert done.stderr == b""
    assert answer["ok"] is True
    assert answer["directory"] is None
    by_path = {file["path"]: file for file in answer["files"]}
    assert by_path["haproxy.cfg"]["content"] == hydria("render", "-", "--secrets", secrets, given=TLS).stdout.decode()
    assert b"PRIVATE KEY" not in done.stdout
    written = json.loads(hydria("render", "-", "--secrets", secrets, "--json", "-o", tmp_path / "out", given=TLS).stdout)
    assert written["digest"] == answer["digest"]
    assert written["directory"] == str(tmp_path / "out")
    for file in written["files"]:
        assert (tmp_path / "out" / file["path"]).stat().st_size == file["size"]
        assert "content" not in file


# check


def test_check_finds_nothing_wrong(haproxy: Haproxy, graph: Path) -> None:
    done = hydria("check", graph, "--haproxy", haproxy.binary)
    assert done.returncode == 0
    assert done.stdout.decode() == f"{graph}: no problems\n"
    assert done.stderr == b""


def test_check_tells_each_problem_with_its_place_in_order() -> None:
    done = hydria("check", "-", given=WRONG)
    assert done.returncode == 1
    lines = done.stdout.decode().splitlines()
    places = [line.split(":")[1:3] for line in lines if ": error:" in line]
    assert places == [["7", "7"], ["10", "9"]]
    assert lines[-1] == "<stdin>: 2 errors"


def test_haproxy_s_complaint_names_the_object_and_its_place(haproxy: Haproxy, secrets: Path) -> None:
    # OpenSSL's own list of names is HAProxy's to judge.
    given = TLS.replace("default_tls_container_ref: site\n", "default_tls_container_ref: site\n      tls_ciphers: NO-SUCH-CIPHER\n")
    assert given != TLS
    done = hydria("check", "-", "--haproxy", haproxy.binary, "--secrets", secrets, "--json", given=given)
    assert done.returncode == 1, done
    problem = next(problem for problem in json.loads(done.stdout)["problems"] if problem["severity"] == "error")
    assert problem["path"].startswith("loadbalancer.listeners[0]")
    assert problem["object"]["name"] == "web"
    assert problem["line"]


def test_check_leaves_nothing_behind(graph: Path, tmp_path: Path) -> None:
    place = tmp_path / "runtime"
    place.mkdir(mode=0o700)
    assert hydria("check", graph, env=environment(XDG_RUNTIME_DIR=str(place))).returncode == 0
    assert list(place.iterdir()) == []


def test_check_is_made_for_the_haproxy_that_checks(haproxy: Haproxy, graph: Path) -> None:
    version = ".".join(map(str, haproxy.version))
    answer = json.loads(hydria("check", graph, "--haproxy", haproxy.binary, "--json").stdout)
    assert answer["target"] == {"haproxy": version}
    assert answer["haproxy"] == {"binary": str(haproxy.binary), "version": version, "asked": True}
    assert (answer["ok"], answer["errors"], answer["warnings"], answer["problems"]) == (True, 0, 0, [])


def test_check_for_another_version_says_that_it_is(graph: Path) -> None:
    done = hydria("check", graph, "--target", "haproxy=2.7")
    assert b"made for HAProxy 2.7, but checked by" in done.stderr
    assert done.returncode == 0


def test_json_problems_are_those_that_people_see() -> None:
    answer = json.loads(hydria("check", "-", "--json", given=WRONG).stdout)
    assert (answer["ok"], answer["graph"], answer["errors"]) == (False, "<stdin>", 2)
    assert [problem["line"] for problem in answer["problems"]] == [7, 10]
    human = hydria("check", "-", given=WRONG).stdout.decode()
    assert all(problem["message"] in human for problem in answer["problems"])


def test_haproxy_that_is_not_there_is_3(graph: Path) -> None:
    for verb in ("check", "run"):
        done = hydria(verb, graph, "--haproxy", "/no/haproxy")
        assert done.returncode == 3
        assert b"/no/haproxy" in done.stderr
        assert done.stdout == b""
    answer = hydria("check", graph, "--haproxy", "/no/haproxy", "--json")
    assert answer.returncode == 3
    assert json.loads(answer.stdout)["error"]["code"] == "program-missing"


def test_what_is_not_haproxy_is_3(graph: Path) -> None:
    done = hydria("check", graph, "--haproxy", "/bin/true")
    assert done.returncode == 3
    assert b"does not answer as HAProxy does" in done.stderr


def test_haproxy_is_found_without_a_path(graph: Path) -> None:
    assert hydria("check", graph, env=environment(PATH="/nowhere")).returncode == 0


# When the machine does not play along


@pytest.mark.parametrize("arguments", [["check"], ["render"], ["run"], ["check", "--json"]])
def test_a_graph_that_may_not_be_read_is_3(graph: Path, arguments: list[str]) -> None:
    graph.chmod(0)
    done = hydria(*arguments, graph, before=POWERLESS)
    assert done.returncode == 3
    assert f"{graph}: Permission denied" in done.stderr.decode()
    assert b"Traceback" not in done.stderr
    if "--json" in arguments:
        assert json.loads(done.stdout)["ok"] is False


def test_a_directory_that_may_not_be_written_is_3(graph: Path, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    done = hydria("render", graph, "-o", tmp_path / "closed" / "out", before=POWERLESS)
    assert done.returncode == 3
    assert b"Permission denied" in done.stderr


def test_a_disk_that_is_full_is_3_and_leaves_what_there_was(graph: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert hydria("render", graph, "-o", out).returncode == 0
    before = (out / "haproxy.cfg").read_bytes()
    # A limit on the size of files fails a write in the middle, as a full disk does.
    done = hydria("render", graph, "-o", out, before=["prlimit", "--fsize=200"])
    assert done.returncode == 3
    assert b"File too large" in done.stderr
    assert (out / "haproxy.cfg").read_bytes() == before
    assert sorted(place.name for place in tmp_path.iterdir()) == ["out", "web.yaml"]


@pytest.mark.parametrize("arguments", [["render"], ["check"], ["check", "--json"]])
def test_an_output_that_is_full_is_3(graph: Path, arguments: list[str]) -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - opened as a shell would
        done = subprocess.run([*COMMAND, *arguments, str(graph)], stdout=full, stderr=subprocess.PIPE, env=environment(), check=False)
    assert done.returncode == 3
    assert b"No space left on device" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_reader_that_has_enough_is_no_fault(graph: Path) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run([*COMMAND, "render", str(graph)], stdout=theirs, stderr=subprocess.PIPE, env=environment(), check=False)
    os.close(theirs)
    assert done.returncode == 128 + signal.SIGPIPE
    assert done.stderr == b""


def test_a_read_that_fails_is_3() -> None:
    done = hydria("check", "/proc/self/mem")
    assert done.returncode == 3
    assert b"Input/output error" in done.stderr


# Colours


def test_colours_on_a_terminal_only_and_never_with_no_color() -> None:
    code, shown = on_a_terminal("check", "-", given=WRONG)
    assert code == 1
    assert "\x1b[31m" in shown
    assert b"\x1b" not in hydria("check", "-", given=WRONG).stdout
    for without in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        _, plain = on_a_terminal("check", "-", given=WRONG, env=environment(**without))
        assert "\x1b" not in plain
        assert "2 errors" in plain


def test_a_name_cannot_command_the_terminal() -> None:
    evil = WRONG.replace("name: web", 'name: "\\e]0;owned\\a\\e[2J"')
    _, shown = on_a_terminal("check", "-", given=evil, env=environment(NO_COLOR="1"))
    assert "\x1b" not in shown
    assert "owned" in shown


# run


class Running:
    """A `hydria run` and the lines that it has written so far."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.out = b""
        self.err = b""

    def read(self) -> None:
        """Takes what has been written, without waiting."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        for stream in select.select([self.process.stdout, self.process.stderr], [], [], 0)[0]:
            chunk = os.read(stream.fileno(), 65536)
            if stream is self.process.stdout:
                self.out += chunk
            else:
                self.err += chunk

    def says(self, words: str) -> None:
        """Waits until it has written this."""

        def said() -> bool:
            self.read()
            return words.encode() in self.out + self.err

        eventually(said, f"{words!r} of {self.out!r} {self.err!r}")

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ends it; its exit code."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=30)
        self.out += out
        self.err += err
        return self.process.returncode


@contextmanager
def running(*arguments: str | Path, given: str, runtime: Path) -> Iterator[Running]:
    """Runs until the block ends; at its end nothing may be left."""
    runtime.mkdir(mode=0o700, exist_ok=True)
    with subprocess.Popen(
        [*COMMAND, "run", "-", *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(XDG_RUNTIME_DIR=str(runtime), PYTHONUNBUFFERED="1"),
    ) as process:
        try:
            assert process.stdin is not None
            process.stdin.write(given.encode())
            process.stdin.close()
            process.stdin = None
            yield Running(process)
        finally:
            process.kill()
            process.wait()
    eventually(lambda: not _left(runtime), "the end of HAProxy")


def _left(runtime: Path) -> list[int]:
    """Processes that were started with something below this directory."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and str(runtime).encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


@pytest.fixture
def runtime() -> Iterator[Path]:
    # Not pytest's directory: the path of a UNIX socket must be short.
    place = Path(f"/tmp/hydria-test-{os.getpid()}-{time.monotonic_ns() % 10**9}")
    place.mkdir(mode=0o700)
    yield place
    for left in place.iterdir():
        pytest.fail(f"{left} was left behind")
    place.rmdir()


def described(port: int, *backends: Backend, protocol: str = "HTTP") -> str:
    """A graph with one listener on this port; members of HTTP are checked."""
    monitor = {"type": "HTTP", "delay": 2, "timeout": 1, "max_retries": 1, "max_retries_down": 1, "url_path": "/health"}
    return json.dumps(
        {
            "loadbalancer": {
                "vip_address": "192.0.2.1",
                "listeners": [listener("web", "app", protocol=protocol, protocol_port=port)],
                "pools": [pool("app", *backends, protocol=protocol, healthmonitor=monitor if protocol == "HTTP" else None)],
            }
        }
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_run_serves_until_it_is_ended(haproxy: Haproxy, runtime: Path, number: signal.Signals) -> None:
    with (
        HttpBackend("one") as one,
        HeldPort() as port,
        running("--haproxy", haproxy.binary, given=described(port.port, one), runtime=runtime) as run,
    ):
        run.says("Ctrl-C ends it")
        assert fetch(("127.0.0.1", port.port)).name == "one"
        assert run.end(number) == 0
        assert f"listener web serves HTTP on 127.0.0.1:{port.port}".encode() in run.err
        assert b"listener web: 1 sessions" in run.err
        assert b"Traceback" not in run.err
        assert list(runtime.iterdir()) == []


def test_run_tells_each_change_of_a_member_in_a_line(runtime: Path) -> None:
    with HttpBackend("one") as one, HeldPort() as port, running(given=described(port.port, one), runtime=runtime) as run:
        run.says("member one of pool app: UP\n")
        one.statuses["/health"] = 500
        run.says("member one of pool app: UP → DOWN (L7STS")
        one.statuses["/health"] = 200
        run.says("member one of pool app: DOWN → UP\n")
        assert run.end() == 0
        assert b"\x1b" not in run.out + run.err
        assert len(run.out.splitlines()) == 3


def test_run_in_json_is_an_event_a_line(runtime: Path) -> None:
    with HttpBackend("one") as one, HeldPort() as port, running("--json", given=described(port.port, one), runtime=runtime) as run:
        run.says('"member"')
        assert fetch(("127.0.0.1", port.port)).name == "one"
        # The totals are those of the last look, so it must have seen the request.
        one.statuses["/health"] = 500
        run.says('"status": "DOWN"')
        assert run.end() == 0
        events = [json.loads(line) for line in run.out.splitlines()]
    assert [event["event"] for event in events] == ["checked", "started", "member", "member", "stopped"]
    assert events[0]["ok"] is True
    assert events[1]["listeners"][0]["place"] == f"127.0.0.1:{port.port}"
    assert (events[3]["title"], events[3]["was"], events[3]["status"]) == ("one", "UP", "DOWN")
    assert [row["total"] for row in events[4]["rows"] if row["kind"] == "listener"] == [1]
    assert run.err == b""


def test_run_listens_where_it_is_told(runtime: Path) -> None:
    with HttpBackend("one") as one, HeldPort(("127.0.0.2",)) as port:
        given = described(port.port - 1000, one)
        with running("--bind", "127.0.0.2", "--port-offset", "1000", given=given, runtime=runtime) as run:
            run.says("Ctrl-C ends it")
            assert fetch(("127.0.0.2", port.port)).name == "one"
            with pytest.raises(ConnectionRefusedError):
                fetch(("127.0.0.1", port.port))
            assert run.end() == 0


def test_run_on_the_vip_of_the_graph(runtime: Path) -> None:
    with HttpBackend("one") as one, HeldPort(("127.0.0.3",)) as port:
        given = described(port.port, one).replace("192.0.2.1", "127.0.0.3")
        with running("--bind", "vip", given=given, runtime=runtime) as run:
            run.says("Ctrl-C ends it")
            assert fetch(("127.0.0.3", port.port)).name == "one"
            assert run.end() == 0


def test_run_with_problems_is_1(runtime: Path) -> None:
    with running(given=WRONG, runtime=runtime) as run:
        run.says("2 errors")
        assert run.process.wait(timeout=30) == 1
        assert run.out == b""


def test_run_on_a_port_that_is_taken_is_3_and_says_whose_port(haproxy: Haproxy, runtime: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, HttpBackend("one") as one:
        given = described(taken.getsockname()[1], one)
        with running("--haproxy", haproxy.binary, given=given, runtime=runtime) as run:
            run.says("--port-offset")
            assert run.process.wait(timeout=30) == 3
            assert b"(web)" in run.err
            assert b"Address already in use" in run.err
            assert b"Traceback" not in run.err


def test_run_on_an_address_that_is_not_here_is_3(runtime: Path) -> None:
    with HttpBackend("one") as one, running("--bind", "192.0.2.9", given=described(8080, one), runtime=runtime) as run:
        run.says("--bind")
        assert run.process.wait(timeout=30) == 3


def test_run_ends_with_3_when_haproxy_does(runtime: Path) -> None:
    with HttpBackend("one") as one, HeldPort() as port, running("--json", given=described(port.port, one), runtime=runtime) as run:
        run.says('"started"')
        workers = [pid for pid in _left(runtime) if _parent(pid) in _left(runtime)]
        assert workers
        os.kill(workers[0], signal.SIGKILL)
        run.says("exited by itself")
        assert run.process.wait(timeout=30) == 3
        run.read()
        assert json.loads(run.out.splitlines()[-1])["ok"] is False


def test_run_ends_when_nobody_reads_its_lines(runtime: Path) -> None:
    with HttpBackend("one") as one, HeldPort() as port, running(given=described(port.port, one), runtime=runtime) as run:
        run.says("member one of pool app: UP")
        assert run.process.stdout is not None
        run.process.stdout.close()
        run.process.stdout = None
        one.statuses["/health"] = 500
        assert run.process.wait(timeout=30) == 128 + signal.SIGPIPE


def test_a_second_ctrl_c_does_not_wait_for_connections_and_is_a_good_end(runtime: Path) -> None:
    with EchoBackend("one") as one, HeldPort() as port:
        given = described(port.port, one, protocol="TCP")
        with running(given=given, runtime=runtime) as run:
            run.says("Ctrl-C ends it")
            with Connection(("127.0.0.1", port.port)) as connection:
                connection.send(b"hello\n")
                connection.receive_line()
                assert connection.receive_line() == b"hello\n"
                run.process.send_signal(signal.SIGINT)
                run.says("Ctrl-C ends them at once")
                assert run.end(signal.SIGINT) == 0
                assert b"Traceback" not in run.err


def test_run_shows_a_table_on_a_terminal(runtime: Path) -> None:
    with HttpBackend("one") as one, HeldPort() as port:
        terminal, process = terminal_with(
            "run", "-", given=described(port.port, one), env=environment(XDG_RUNTIME_DIR=str(runtime), COLUMNS="100", LINES="30")
        )
        with process:
            shown = b""
            while not all(words in shown for words in (b"HTTP web", b"pool app", b"UP", b"total")):
                chunk = read_from(terminal)
                assert chunk, shown
                shown += chunk
            process.send_signal(signal.SIGINT)
            while chunk := read_from(terminal):
                shown += chunk
            os.close(terminal)
    assert process.returncode == 0
    assert b"\x1b[?25h" in shown[shown.rindex(b"\x1b[?25l") :], "the cursor is back"


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
