"""A disk that is full, directories that cannot be written or are not there: it is told, what was there stays, and all is well afterwards."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.agents import BASE, ETC
from support.attacked import Attacked

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def small() -> Iterator[Attacked]:
    """A machine all of whose directories are on a small disk of their own."""
    with tempfile.TemporaryDirectory(prefix="h", dir="/tmp") as directory, tmpfs(Path(directory)) as disk, Attacked(disk / "m") as machine:
        machine.set_up()
        yield machine
        machine.unharmed()


@contextmanager
def tmpfs(place: Path) -> Iterator[Path]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=755", "none", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


@contextmanager
def full(machine: Attacked) -> Iterator[None]:
    """Not a byte can be written until the block ends."""
    filler = machine.directory.parent / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (65536, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def read_only(machine: Attacked, place: Path) -> Iterator[None]:
    """The agent, wherever it sees `place`, cannot write there until the block ends."""
    enter = ["nsenter", "--mount", "--root", f"--target={machine.agent_pid()}", "--"]
    subprocess.run([*enter, "mount", "--bind", "-o", "ro", place, place], check=True)
    try:
        yield
    finally:
        subprocess.run([*enter, "umount", "--lazy", place], check=True)


def uploads(machine: Attacked) -> list[tuple[str, str, bytes]]:
    """All that has to be written somewhere."""
    lb = machine.victim
    return [
        ("PUT", f"loadbalancer/{machine.id}/{lb}/haproxy", machine.text(lb, 81)),
        ("PUT", f"loadbalancer/{machine.id}/{machine.bystander}/haproxy", machine.text(machine.bystander, 81)),
        ("PUT", f"loadbalancer/{lb}/certificates/x.pem", b"content"),
        ("PUT", f"listeners/{machine.id}/{lb}/udp_listener", b"net_namespace x\n"),
        ("PUT", "vrrp/upload", b"global_defs {\n    router_id x\n}\n"),
        ("PUT", "certificate", machine.issue().bundle_pem),
        ("PUT", "config", machine.settings(interval=11).encode()),
    ]


def test_a_disk_that_is_full(small: Attacked) -> None:
    config = f"/1.0/loadbalancer/{small.bystander}/haproxy"
    kept = small.ask("GET", config).content
    assert kept == small.text(small.bystander)
    own = small.certificate.read_bytes(), small.configuration.read_bytes()
    for _ in range(2):
        with full(small):
            for method, path, body in uploads(small):
                said = small.ask(method, f"/1.0/{path}", body).failed()
                assert "No space left on device" in said.json["details"], said
                assert small.serves()
            assert small.ask("GET", "/1.0/details").status == 200
            assert small.ask("GET", config).content == kept
            # What needs no more than it has goes on: a reload, too, may fail, but harms nobody.
            small.ask("PUT", f"/1.0/loadbalancer/{small.bystander}/reload").understood()
            assert small.serves()
        assert (small.certificate.read_bytes(), small.configuration.read_bytes()) == own
        assert small.ask("GET", config).content == kept
        assert not [path for path in small.directory.rglob("*.new") if path.is_file()], "something was left half"
    for method, path, body in uploads(small):
        assert small.ask(method, f"/1.0/{path}", body).status in (200, 202)
    assert small.ask("PUT", f"/1.0/loadbalancer/{small.id}/{small.bystander}/haproxy", kept).status == 202
    small.note_processes()


def test_an_agent_starts_with_a_disk_that_is_full(small: Attacked) -> None:
    small.kill()
    with full(small):
        small.start()
        small.unharmed()


@pytest.mark.parametrize("place", [BASE, ETC, "{0.state}", "{0.run}", "{0.etc}"])
def test_directories_that_cannot_be_written(a_machine: Attacked, place: str) -> None:
    kept = a_machine.ask("GET", f"/1.0/loadbalancer/{a_machine.bystander}/haproxy").content
    with read_only(a_machine, Path(place.format(a_machine))):
        answers = [a_machine.ask(method, f"/1.0/{path}", body).understood() for method, path, body in uploads(a_machine)]
        failed = [said for said in answers if said.status not in (200, 202)]
        assert all("Read-only file system" in said.json["details"] for said in failed), failed
        # The certificate is named by one path, the settings by another.
        assert len(failed) == {BASE: 5, ETC: 1, "{0.etc}": 1}.get(place, 0)
        for action in ("start", "reload", "stop"):
            a_machine.ask("PUT", f"/1.0/loadbalancer/{a_machine.victim}/{action}").understood()
        assert a_machine.ask("GET", "/1.0/details").status == 200
        a_machine.ask("DELETE", f"/1.0/listeners/{a_machine.victim}").understood()
        a_machine.unharmed()
    assert a_machine.ask("PUT", f"/1.0/loadbalancer/{a_machine.id}/{a_machine.bystander}/haproxy", kept).status == 202
    for action in ("start", "stop"):
        a_machine.ask("PUT", f"/1.0/loadbalancer/{a_machine.victim}/{action}").understood()
    assert a_machine.ask("DELETE", f"/1.0/listeners/{a_machine.victim}").status == 200


@pytest.mark.parametrize(
    "place", ["lib/certs", "lib/{0.victim}", "lib/{0.bystander}", "lib/vrrp", "lib/lvs", "state/programs", "run/programs", "etc/interfaces"]
)
def test_directories_that_are_not_there(a_machine: Attacked, place: str) -> None:
    for method, path, body in uploads(a_machine)[2:5]:
        assert a_machine.ask(method, f"/1.0/{path}", body).status == 200
    shutil.rmtree(a_machine.directory / place.format(a_machine), ignore_errors=True)
    for path in ("details", "listeners", f"loadbalancer/{a_machine.bystander}/haproxy"):
        said = a_machine.ask("GET", f"/1.0/{path}").understood()
        assert said.status == 200 or (said.status == 404 and a_machine.bystander in place.format(a_machine)), said
    for method, path, body in uploads(a_machine):
        assert a_machine.ask(method, f"/1.0/{path}", body).status in (200, 202)
    for lb in (a_machine.victim, a_machine.bystander):
        assert (
            a_machine.ask(
                "PUT", f"/1.0/loadbalancer/{a_machine.id}/{lb}/haproxy", a_machine.text(lb, 80 + (lb != a_machine.bystander))
            ).status
            == 202
        )
        assert a_machine.ask("PUT", f"/1.0/loadbalancer/{lb}/reload").status == 202
    assert a_machine.ask("DELETE", f"/1.0/listeners/{a_machine.victim}").status == 200
    a_machine.note_processes()


def test_a_haproxy_that_is_not_there(a_machine: Attacked) -> None:
    binary = a_machine.directory / "haproxy"
    a_machine.configure(a_machine.settings().replace("/usr/sbin/haproxy", str(binary)))
    a_machine.stop()
    a_machine.start()
    upload = f"/1.0/loadbalancer/{a_machine.id}/{a_machine.victim}/haproxy"
    said = a_machine.ask("PUT", upload, a_machine.text(a_machine.victim, 81)).failed()
    assert str(binary) in said.json["details"]
    assert a_machine.ask("GET", "/1.0/info").json["haproxy_version"] == ""
    a_machine.ask("PUT", f"/1.0/loadbalancer/{a_machine.bystander}/reload").understood()
    assert a_machine.serves()
    a_machine.note_processes()
    binary.write_text("#!/bin/sh\nexit 0\n")
    a_machine.ask("PUT", upload, a_machine.text(a_machine.victim, 81)).failed()
    shutil.copy("/usr/sbin/haproxy", binary)
    assert a_machine.ask("PUT", upload, a_machine.text(a_machine.victim, 81)).status == 202
    assert a_machine.ask("PUT", f"/1.0/loadbalancer/{a_machine.victim}/start").status == 202
    binary.unlink()
    assert a_machine.ask("PUT", f"/1.0/loadbalancer/{a_machine.victim}/stop").status == 202
    a_machine.ask("PUT", f"/1.0/loadbalancer/{a_machine.victim}/start").refused(400, 500)
    assert a_machine.ask("DELETE", f"/1.0/listeners/{a_machine.victim}").status == 200
