from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from agent.certificates import Certificates
from agent.errors import NotFoundError
from agent.locks import Locks
from agent.paths import Paths

if TYPE_CHECKING:
    from pathlib import Path

LB = "5f2b3c1d-9a8e-4c7b-8d6f-0e1a2b3c4d5e"


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "octavia", tmp_path / "octavia" / "certs", tmp_path / "interfaces", tmp_path / "run", tmp_path / "state")


def test_put_and_replaced(paths: Paths) -> None:
    certificates = Certificates(paths, Locks())
    for content in (b"one", b"\x00\xff" * 100_000, b""):
        certificates.put(LB, "a.pem", content)
        assert paths.certificate(LB, "a.pem").read_bytes() == content
        assert certificates.md5(LB, "a.pem") == hashlib.md5(content).hexdigest()
    assert paths.certificate(LB, "a.pem").stat().st_mode & 0o777 == 0o600
    assert paths.certificate(LB, "a.pem").parent.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in paths.certificate(LB, "a.pem").parent.iterdir()] == ["a.pem"]


def test_what_octavias_controller_sends_first_does_not_lock_the_place_of_all_the_rest(paths: Paths) -> None:
    """Check scripts below it are run by nobody."""
    Certificates(paths, Locks()).put(LB, "a.pem", b"x")
    assert paths.base.stat().st_mode & 0o777 == 0o755
    assert paths.certificates.stat().st_mode & 0o777 == 0o700


def test_deleted_whether_there_or_not(paths: Paths) -> None:
    certificates = Certificates(paths, Locks())
    certificates.delete(LB, "a.pem")
    certificates.delete_all(LB)
    for name in ("a.pem", "b.pem"):
        certificates.put(LB, name, b"x")
    certificates.delete(LB, "a.pem")
    certificates.delete(LB, "a.pem")
    with pytest.raises(NotFoundError, match=r"a\.pem"):
        certificates.md5(LB, "a.pem")
    assert certificates.md5(LB, "b.pem")
    certificates.delete_all(LB)
    assert not (paths.certificates / LB).exists()


def test_many_at_once_do_not_meet(paths: Paths) -> None:
    certificates = Certificates(paths, Locks())

    def put(number: int) -> None:
        for _ in range(20):
            certificates.put(LB, f"{number}.pem", b"x")

    def delete() -> None:
        for _ in range(60):
            certificates.delete_all(LB)

    with ThreadPoolExecutor(4) as pool:
        done = [pool.submit(put, number) for number in range(3)]
        done.append(pool.submit(delete))
        for each in done:
            each.result()
