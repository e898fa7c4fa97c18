"""`hydria certs`: both sides of a real handshake at its strictest take what it makes, and nothing that is there is ever overwritten."""

from __future__ import annotations

import json
import ssl
import stat
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from hydria.cli import _run
from hydria.cli.output import Output

if TYPE_CHECKING:
    from pathlib import Path

AMPHORA = "5d2f0d3e-6c1b-4a55-8d5e-0b6b7e1b6a10"


def certs(*arguments: str | Path) -> int:
    return _run(["certs", *map(str, arguments)], Output())


@pytest.fixture
def pki(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert certs("init", tmp_path / "pki") == 0
    capsys.readouterr()
    return tmp_path / "pki"


def strict(protocol: int, certificate: Path, authority: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.verify_mode = ssl.CERT_REQUIRED
    context.hostname_checks_common_name = False
    context.load_cert_chain(certificate)
    context.load_verify_locations(authority)
    return context


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> None:
    """In memory; raises ssl.SSLError where one side does not take the other."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = client.wrap_bio(down, up, server_hostname=name), server.wrap_bio(up, down, server_side=True)
    waiting = list(sides)
    while waiting:
        for side in list(waiting):
            try:
                side.do_handshake()
                waiting.remove(side)
            except ssl.SSLWantReadError:
                pass


def files(directory: Path) -> dict[str, int]:
    return {str(path.relative_to(directory)): stat.S_IMODE(path.stat().st_mode) for path in directory.rglob("*") if path.is_file()}


def test_both_sides_take_what_is_made(pki: Path) -> None:
    assert certs("agent", pki, AMPHORA.upper()) == 0
    assert certs("controller", pki, "octavia") == 0
    agent, controller = pki / "agents" / AMPHORA, pki / "controllers" / "octavia"
    server = strict(ssl.PROTOCOL_TLS_SERVER, agent / "server.pem", agent / "client_ca.pem")
    client = strict(ssl.PROTOCOL_TLS_CLIENT, controller / "client.pem", controller / "server_ca.pem")
    handshake(server, client, AMPHORA)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(server, client, str(uuid.uuid4()))
    # Neither can pass for the other, nor is one authority the other.
    impostor = strict(ssl.PROTOCOL_TLS_CLIENT, agent / "server.pem", controller / "server_ca.pem")
    with pytest.raises(ssl.SSLError):
        handshake(server, impostor, AMPHORA)
    astray = strict(ssl.PROTOCOL_TLS_CLIENT, controller / "client.pem", agent / "client_ca.pem")
    with pytest.raises(ssl.SSLError):
        handshake(server, astray, AMPHORA)


def test_only_the_owner_reads_keys(pki: Path) -> None:
    assert certs("agent", pki, AMPHORA) == certs("controller", pki) == 0
    assert files(pki) == {
        "server_ca.key": 0o600,
        "server_ca.pem": 0o644,
        "client_ca.key": 0o600,
        "client_ca.pem": 0o644,
        f"agents/{AMPHORA}/server.pem": 0o600,
        f"agents/{AMPHORA}/client_ca.pem": 0o644,
        "controllers/controller/client.pem": 0o600,
        "controllers/controller/server_ca.pem": 0o644,
    }
    assert stat.S_IMODE(pki.stat().st_mode) == 0o700


@pytest.mark.parametrize("what", ["init", "agent", "controller"])
def test_nothing_is_overwritten_and_nothing_is_added(pki: Path, capsys: pytest.CaptureFixture[str], what: str) -> None:
    out = pki / "out"
    arguments: dict[str, list[Any]] = {"init": [pki], "agent": [pki, AMPHORA, "-o", out], "controller": [pki, "-o", out]}
    made = {"init": pki / "client_ca.key", "agent": out / "client_ca.pem", "controller": out / "server_ca.pem"}[what]
    if what != "init":
        assert certs(what, *arguments[what]) == 0
        (out / {"agent": "server.pem", "controller": "client.pem"}[what]).unlink()
    else:
        (pki / "server_ca.key").unlink()
    before = files(pki), made.read_bytes()
    assert certs(what, *arguments[what]) == 2
    assert (files(pki), made.read_bytes()) == before
    assert f"{made.name}" in capsys.readouterr().err


def test_a_new_agent_gets_an_id_and_a_program_is_told(pki: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert certs("agent", pki, "--json", "--days", "7", "-o", pki / "deep" / "out") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ok"]
    assert str(uuid.UUID(told["amphora"])) == told["amphora"]
    assert told["files"] == [
        {"path": str(pki / "deep" / "out" / "server.pem"), "mode": "0600"},
        {"path": str(pki / "deep" / "out" / "client_ca.pem"), "mode": "0644"},
    ]
    assert certs("controller", pki) == 0
    said = capsys.readouterr()
    assert said.out.split() == [str(pki / "controllers" / "controller" / name) for name in ("client.pem", "server_ca.pem")]
    assert "for controller controller, good until 20" in said.err


def test_wrong_use_is_told(pki: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    (tmp_path / "mixed").mkdir()
    for name in ("server_ca.pem", "client_ca.pem"):
        (tmp_path / "mixed" / name).write_bytes((pki / "server_ca.pem").read_bytes())
        (tmp_path / "mixed" / name.replace("pem", "key")).write_bytes((pki / "client_ca.key").read_bytes())
    for arguments, words in (
        (["agent", pki, "one"], "a UUID is needed"),
        (["controller", pki, "../up"], "letters, digits"),
        (["controller", pki, "x" * 65], "up to 64"),
        (["agent", tmp_path / "nowhere"], "does not exist"),
        (["agent", tmp_path / "empty"], "hydria certs init"),
        (["agent", tmp_path / "mixed"], "the key is not that of the certificate"),
        (["init", tmp_path / "file"], "there is a file"),
        (["init", tmp_path / "file" / "below"], "there is a file"),
        (["init", tmp_path / "new", "--days", "0"], "--days"),
        (["agents"], "No such command"),
        ([], "Usage"),
    ):
        assert certs(*arguments) == 2, arguments
        assert words in " ".join(capsys.readouterr().err.split()), arguments
    assert not (tmp_path / "new").exists()
