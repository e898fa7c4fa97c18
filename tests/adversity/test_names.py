"""Ids, file names, addresses and actions that want to be something else: refused, and no file is touched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.hostile_places import LB, PLACES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.attacked import Attacked

NAMES = {
    "up": b"..",
    "encoded up": b"%2e%2e",
    "encoded slashes": b"..%2f..%2f..%2f..%2fetc%2fcanary",
    "slashes": b"../../../../etc/canary",
    "encoded twice": b"%252e%252e%252f%252e%252e%252fetc%252fcanary",
    "backslashes": b"..%5c..%5cetc%5ccanary.pem",
    "absolute": b"%2fetc%2fcanary.pem",
    "here": b".%2fx.pem",
    "hidden": b".pem",
    "an option": b"-x.pem",
    "NUL": b"%00",
    "NUL before the end": b"canary%00.pem",
    "line feed at the end": b"canary.pem%0a",
    "space at the end": b"canary.pem%20",
    "overlong UTF-8": b"%c0%ae%c0%ae%c0%af",
    "full-width dots": b"%ef%bc%8e%ef%bc%8e%ef%bc%8f",
    "no UTF-8": b"%ff%fe.pem",
    "raw bytes": b"\xff\xc3\xa9.pem",
    "letters of others": b"%c3%a9%d0%b0.pem",
    "right to left": b"%e2%80%aemep.x",
    "a surrogate": b"%ed%a0%80.pem",
    "half an escape": b"%2",
    "no escape": b"%zz.pem",
    "a colon and a stream": b"x.pem::%24DATA",
    "a parameter": b"x;y=z.pem",
    "a fragment": b"%23.pem",
    "a shell's": b"%24(reboot)%60reboot%60.pem",
    "a format": b"%25s%25n%7B0.__class__%7D.pem",
    "long": b"a" * 206 + b".pem",
    "very long": b"A" * 3_900,
    "beyond all bounds": b"A" * 200_000,
    "braces": f"%7B{LB}%7D".encode(),
    "a URN": f"urn:uuid:{LB}".encode(),
    "an id and more": f"{LB}%0a".encode(),
    "an id and up": f"{LB}%2f..%2f..".encode(),
    "digits of others": f"{LB[:-1]}%ef%bc%90".encode(),
    "an address with a zone": b"fe80::1%25eth0",
    "an address and more": b"192.0.2.1%00",
    "octal": b"0300.0.2.1",
    "a number": b"3221225985",
}


@pytest.fixture(scope="module", autouse=True)
def nothing_is_touched(everybodys: Attacked) -> Iterator[None]:
    before = everybodys.files()
    yield
    after = everybodys.files()
    assert {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)} == set()


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_refused(machine: Attacked, name: str) -> None:
    for method, place in PLACES:
        before, after = place.encode().split(b"{}")
        line = f"{method} /1.0/".encode() + before + NAMES[name] + after + b" HTTP/1.1\r\n"
        said = machine.send(line + b"Host: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        assert said is not None
        said.refused(400, 404, 405)
        assert "No suitable network interface found" not in said.content.decode()


@pytest.mark.parametrize("name", ["a" * 201 + ".pem", "_..pem", "x.pem.pem", "0.crt.pem"])
def test_names_that_are_odd_and_right(machine: Attacked, name: str) -> None:
    path = f"/1.0/loadbalancer/{machine.victim}/certificates/{name}"
    assert machine.ask("PUT", path, b"content").status == 200
    assert machine.ask("GET", path).json == {"md5sum": "9a0364b9e99bb480dd25e1f0284c8555"}
    assert (machine.base / "certs" / machine.victim / name).read_bytes() == b"content"
    assert machine.ask("DELETE", path).status == 200
    assert not list((machine.base / "certs" / machine.victim).iterdir())


def test_one_load_balancer_has_one_id_however_it_is_written(machine: Attacked) -> None:
    before = set((machine.base / "certs").iterdir())
    for written in (machine.victim.upper(), machine.victim.replace("-", "")):
        assert machine.ask("PUT", f"/1.0/loadbalancer/{written}/certificates/x.pem", b"content").status == 200
        assert set((machine.base / "certs").iterdir()) - before <= {machine.base / "certs" / machine.victim}
    assert machine.ask("DELETE", f"/1.0/listeners/{machine.victim}").status == 200
    assert not (machine.base / "certs" / machine.victim).exists()
