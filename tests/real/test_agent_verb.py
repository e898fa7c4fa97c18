"""`hydria agent` over real mutual TLS: what a person and a program are told, on terminals and into pipes, and what is told when it fails."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.polling import eventually
from support.scripted_agent import AMPHORA, OTHER, Pki, Reply, Request, ScriptedAgent

from agent.answers import Details, Listener, Processors, Traffic
from hydria.cli import _run
from hydria.cli.agent_looks import Flow, Look, Shares, rates
from hydria.cli.output import Output
from hydria.cli.place import place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
LISTENER = "1a2b3c4d-0000-4000-8000-00000000000a"
SLOW = "1a2b3c4d-0000-4000-8000-00000000000b"
INFO = {
    "hostname": "amphora-1",
    "haproxy_version": "3.0",
    "api_version": "1.0",
    "keepalived_version": "2.3.3",
    "ipvsadm_version": "",
}
DETAILS = INFO | {
    "networks": {"eth1": {"network_tx": 3_000_000, "network_rx": 1024}, "eth2": {"network_tx": 0, "network_rx": 0}},
    "active": True,
    "haproxy_count": 2,
    "lvs_listener_process_count": 1,
    "cpu_count": 4,
    "cpu": {"total": 4000, "user": "300", "system": "20", "soft_irq": "1"},
    "memory": {"total": 2 << 20, "free": 1 << 20, "buffers": 1 << 18, "cached": 1 << 18, "swap_used": 0, "shared": 0, "slab": 0},
    "disk": {"used": 5 << 30, "available": 15 << 30},
    "load": ["0.09", "1.50", "2.00"],
    "active_tuned_profiles": "",
    "topology": "SINGLE",
    "topology_status": "OK",
    "listeners": [LISTENER, SLOW],
    "packages": {},
}
LISTENERS = [
    {"status": "ACTIVE", "uuid": LISTENER, "type": "TERMINATED_HTTPS"},
    {"status": "ERROR", "uuid": SLOW, "type": "[bold]\x1b[31m"},
]
ANSWERS: dict[str, Any] = {"/1.0/info": INFO, "/1.0/details": DETAILS, "/1.0/listeners": LISTENERS}


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def remote(pki: Pki) -> Iterator[ScriptedAgent]:
    with ScriptedAgent(pki.server_context()) as running:
        running.reply = lambda request: Reply(content=json.dumps(ANSWERS[request.path]).encode())
        yield running


def options(pki: Pki, port: int) -> list[str]:
    return ["--address", f"127.0.0.1:{port}", "--amphora", AMPHORA, "--ca", str(pki.ca), "--cert", str(pki.client)]


@pytest.fixture
def ask(pki: Pki, remote: ScriptedAgent, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def run(what: str, *more: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = _run(["agent", what, *options(pki, remote.port), *more], Output())
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def pairs(text: str) -> dict[str, str]:
    return dict(line.split(maxsplit=1) for line in text.splitlines() if len(line.split(maxsplit=1)) == 2)


def test_a_person_is_told_what_it_is(ask: Callable[..., tuple[int, str, str]], remote: ScriptedAgent) -> None:
    code, out, err = ask("info")
    assert (code, err) == (0, "")
    assert pairs(out) == {
        "amphora": AMPHORA,
        "address": f"127.0.0.1:{remote.port}",
        "hostname": "amphora-1",
        "API": "1.0",
        "HAProxy": "3.0",
        "keepalived": "2.3.3",
    }
    assert not any(line.endswith(" ") for line in out.splitlines())


def test_a_person_is_told_how_it_fares(ask: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = ask("details")
    told = pairs(out)
    assert code == 0
    assert told["memory"] == "512 MiB used of 2.0 GiB"
    assert (told["load"], told["processors"], told["topology"]) == ("0.09 1.50 2.00", "4", "SINGLE OK")
    assert told["disk"] == "5.0 GiB used, 15 GiB available"
    assert told["running"] == "2 HAProxy, 1 keepalived for UDP and SCTP"
    assert told["listeners"] == f"{LISTENER} {SLOW}"
    assert told["eth1"].split() == ["1.0", "KiB", "2.9", "MiB"]


def test_a_person_is_told_what_it_carries(ask: Callable[..., tuple[int, str, str]], remote: ScriptedAgent) -> None:
    code, out, _ = ask("listeners")
    assert code == 0
    assert out.splitlines()[0].split() == ["listener", "type", "status"]
    assert out.splitlines()[1].split() == [LISTENER, "TERMINATED_HTTPS", "ACTIVE"]
    assert out.splitlines()[2].split() == [SLOW, "[bold]\\x1b[31m", "ERROR"]
    remote.reply = lambda _: Reply(content=b"[]")
    assert ask("listeners")[1] == "no listeners\n"


def test_a_program_is_told_the_same(ask: Callable[..., tuple[int, str, str]]) -> None:
    assert json.loads(ask("info", "--json")[1]) == {"ok": True, **INFO}
    told = json.loads(ask("details", "--json")[1])
    assert (told["ok"], told["cpu"]["user"], told["load"]) == (True, 300, [0.09, 1.5, 2.0])
    assert told["networks"] == DETAILS["networks"]
    assert json.loads(ask("listeners", "--json")[1]) == {"ok": True, "listeners": LISTENERS}


def test_top_looks_again_and_again(ask: Callable[..., tuple[int, str, str]], remote: ScriptedAgent) -> None:
    counted = {"looks": 0}

    def reply(request: Request) -> Reply:
        answer = ANSWERS[request.path]
        if request.path == "/1.0/details":
            counted["looks"] += 1
            sent = 3_000_000 + 10_000_000 * counted["looks"]
            answer = answer | {"networks": {"eth1": {"network_tx": sent, "network_rx": 1024}}}
            answer |= {"cpu": {"total": 4000 + 100 * counted["looks"], "user": 300 + 25 * counted["looks"], "system": 20, "soft_irq": 1}}
        return Reply(content=json.dumps(answer).encode())

    remote.reply = reply
    code, out, _ = ask("top", "-n", "3", "--interval", "0.1", "--json")
    looks = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [look["event"] for look in looks] == ["look"] * 3
    assert looks[0]["rates"] is None
    assert looks[1]["rates"]["cpu"] == {"user": 0.25, "system": 0.0, "soft_irq": 0.0}
    assert looks[1]["rates"]["networks"]["eth1"]["sent"] == pytest.approx(10_000_000 / looks[1]["rates"]["seconds"])
    assert looks[2]["listeners"] == LISTENERS
    code, out, _ = ask("top", "-n", "2", "--interval", "0.1")
    first, second = out.split("\n\namphora-1")
    assert first.startswith(f"amphora-1  amphora {AMPHORA} at 127.0.0.1:{remote.port}\n")
    assert "user 25.0%, system 0.0%" in second
    assert "received/s" in second
    assert "received/s" not in first


def test_top_waits_for_an_agent_that_is_away(pki: Pki, remote: ScriptedAgent) -> None:
    with started(["top", *options(pki, remote.port), "--interval", "0.1", "--timeout", "0.5", "--json"]) as (process, lines):
        eventually(lambda: lines)
        away = threading.Event()
        remote.reply = lambda request: Reply(content=json.dumps(ANSWERS[request.path]).encode()) if away.wait(30) else Reply()
        eventually(lambda: [line for line in lines if line["event"] == "lost"])
        assert next(line["error"]["code"] for line in lines if line["event"] == "lost") == "agent-unreachable"
        away.set()
        count = len(lines)
        eventually(lambda: [line for line in lines[count:] if line["event"] == "look"])
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


@contextmanager
def started(arguments: list[str]) -> Iterator[tuple[subprocess.Popen[str], list[dict[str, Any]]]]:
    """The command, and what it has said, as it comes."""
    lines: list[dict[str, Any]] = []
    with subprocess.Popen(
        [sys.executable, "-m", "hydria", "agent", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:

        def read() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                lines.append(json.loads(line))  # noqa: PERF401 - as they come

        reader = threading.Thread(target=read)
        reader.start()
        try:
            yield process, lines
        finally:
            process.kill()
            reader.join()


def test_top_draws_on_a_terminal_and_leaves_it_well(pki: Pki, remote: ScriptedAgent) -> None:
    ours, theirs = pty.openpty()
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "120", "LINES": "40"}
    command = [sys.executable, "-m", "hydria", "agent", "top", *options(pki, remote.port), "--interval", "0.1"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=env) as process:
        os.close(theirs)
        shown = b""
        while shown.count(b"received/s") < 2:
            shown += os.read(ours, 65536)
        process.send_signal(signal.SIGTERM)
        with open(ours, "rb", buffering=0, closefd=True) as terminal:  # noqa: PTH123 - a descriptor
            try:
                while chunk := terminal.read(65536):
                    shown += chunk
            except OSError:  # Linux's way to say that the other side of a terminal has been closed
                pass
        assert process.wait(30) == 0
    assert LISTENER.encode() in shown
    assert b"\x1b[31m\x1b" not in shown.replace(b"[bold]\\x1b[31m", b"")
    assert b"[bold]\\x1b[31m" in shown
    assert shown.rstrip().endswith(b"\x1b[?25h"), "the cursor is back"


def test_what_fails_is_told(
    ask: Callable[..., tuple[int, str, str]], pki: Pki, remote: ScriptedAgent, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    remote.reply = lambda _: Reply(500, b'{"message": "Internal", "details": "no disk\\u001b"}')
    code, out, err = ask("info", "--json")
    assert code == 3
    assert json.loads(out)["error"]["code"] == "system-fault"
    assert "500 Internal: no disk\\x1b" in err
    with ScriptedAgent(pki.server_context(OTHER)) as other:
        assert _run(["agent", "info", *options(pki, other.port)], Output()) == 3
        assert "did not prove to be the agent of amphora" in capsys.readouterr().err
    assert _run(["agent", "top", *options(pki, other.port), "--json"], Output()) == 3
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "agent-unreachable"
    (tmp_path / "none.pem").write_text("none")
    given = options(pki, remote.port)
    for wrong, words in (
        ([*given[:1], "127.0.0.1:0", *given[2:]], "an address or a name is needed"),
        ([*given[:3], "one", *given[4:]], "a UUID is needed"),
        ([*given[:5], str(tmp_path / "missing.pem"), *given[6:]], "does not exist"),
        ([*given[:7], str(tmp_path / "none.pem")], "not a certificate and its key"),
        (given[:6], "Missing option '--cert'"),
    ):
        assert _run(["agent", "info", *wrong], Output()) == 2
        assert words in " ".join(capsys.readouterr().err.split())


def test_where_it_is_may_be_in_the_environment(pki: Pki, remote: ScriptedAgent) -> None:
    given = {"ADDRESS": f"localhost:{remote.port}", "AMPHORA": AMPHORA, "CA": str(pki.ca), "CERT": str(pki.client)}
    env = {**os.environ, "PYTHONPATH": str(ROOT), **{f"HYDRIA_AGENT_{name}": value for name, value in given.items()}}
    command = [sys.executable, "-m", "hydria", "agent", "listeners", "--json"]
    assert json.loads(subprocess.run(command, env=env, capture_output=True, check=True).stdout)["listeners"] == LISTENERS


@pytest.mark.parametrize(
    ("text", "address", "port"),
    [
        ("192.0.2.5", "192.0.2.5", 9443),
        ("192.0.2.5:1", "192.0.2.5", 1),
        ("2001:db8::5", "2001:db8::5", 9443),
        ("[2001:db8::5]", "2001:db8::5", 9443),
        ("[2001:db8::5]:65535", "2001:db8::5", 65535),
        ("fe80::1%mgmt0", "fe80::1%mgmt0", 9443),
        ("[fe80::1%mgmt0]:9443", "fe80::1%mgmt0", 9443),
        ("amphora.example", "amphora.example", 9443),
        ("amphora.example:9444", "amphora.example", 9444),
    ],
)
def test_an_address_may_have_a_port(text: str, address: str, port: int) -> None:
    assert place(text) == (address, port)


@pytest.mark.parametrize("text", ["", ":9443", "a:", "a:0", "a:65536", "[::1", "[::1]:", "[]:1", "a:b", "a:1:"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is needed"):
        place(text)


def look(moment: float, cpu: Processors, **networks: Traffic) -> Look:
    details = Details(hostname="a", haproxy_version="3.0", api_version="1.0", cpu=cpu, networks=networks)
    return Look(moment, details, [Listener("a", "ACTIVE", "HTTP")])


def test_rates_are_differences_and_none_where_counters_began_anew() -> None:
    before = look(10, Processors(100, 50, 20, 10), eth1=Traffic(1000, 2000), eth2=Traffic(5, 5))
    now = look(12, Processors(300, 100, 40, 20), eth1=Traffic(3000, 2000), eth2=Traffic(4, 9), eth3=Traffic(1, 1))
    found = rates(before, now)
    assert (found.seconds, found.cpu, found.networks) == (2, Shares(0.25, 0.1, 0.05), {"eth1": Flow(1000, 0)})
    assert rates(now, look(14, Processors(10, 5, 1, 1))).cpu is None
    assert rates(now, now).cpu is None
    assert rates(now, now).networks == {}
