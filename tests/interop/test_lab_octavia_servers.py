"""A lab of Octavia's with a database, a transport, a job board, or a Keystone, as `up` is told of them: what it refuses; the short form."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from octavia_process import PYTHON
from support.labs import lab_name, left_of

from hydria.lab import record
from hydria.lab.octavia_given import Given
from hydria.lab.octavia_servers import SERVERS, servers
from hydria.octavia.control.given import MARK

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def name() -> Iterator[str]:
    made = lab_name("octavia-servers")
    yield made
    record.end(made)


def refused(name: str, *arguments: str, python: Path | str = PYTHON) -> str:
    """What `up` says."""
    command = [sys.executable, "-m", "hydria", "lab", "octavia", "up", "--name", name, "--python", str(python), *arguments]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False)
    assert (done.returncode, left_of(name)) == (3, []), done.stderr
    return done.stderr


def test_what_is_no_server_is_told(name: str) -> None:
    assert "--db wants a URL that begins with postgresql" in refused(name, "--db", "sqlite:///x")
    assert "name their --transport" in refused(name, "--jobboard", "redis://127.0.0.1")


def test_what_an_interpreter_lacks_is_to_be_installed(name: str) -> None:
    wanted = ("--db", "postgresql://u@127.0.0.1/n", "--transport", "rabbit://127.0.0.1", "--jobboard", "redis://127.0.0.1", "--keystone")
    said = refused(name, *wanted, python=sys.executable)
    assert "pip install 'hydria[octavia]' psycopg2-binary oslo.messaging[rabbit] redis keystone in its environment" in said


@pytest.mark.parametrize(
    "options",
    [
        ("--db", "postgresql://u:secret@127.0.0.1:{port}/n"),
        ("--db", "mysql://u:secret@127.0.0.1:{port}/n"),
        ("--transport", "rabbit://u:secret@127.0.0.1:{port}/v"),
    ],
)
def test_a_server_that_does_not_answer_is_told_and_nothing_is_left(name: str, options: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    said = refused(name, *(each.format(port=port) for each in options))
    assert "the servers that were named cannot be used" in said
    assert "refused" in said
    assert "secret" not in said


def test_what_is_left_in_a_server_that_does_not_answer_is_told(name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    directory = record.begin(name)
    wanted = servers(f"postgresql://u:secret@127.0.0.1:{port}/n", None, None)
    (directory / SERVERS).write_bytes(msgspec.json.encode(Given(servers=wanted, python=str(PYTHON), token="t")))
    done = subprocess.run(
        [sys.executable, "-m", "hydria", "lab", "down", "--name", name], cwd=ROOT, text=True, capture_output=True, check=False
    )
    assert (done.returncode, left_of(name)) == (3, [])
    assert f"has ended, but what it had in postgresql+psycopg2://127.0.0.1:{port}/n may still be there" in done.stderr
    assert "secret" not in done.stderr


def test_a_database_that_is_not_empty_is_somebodys(tmp_path: Path) -> None:
    """As its marks are looked at by `take`, whatever kind of a database it is."""
    url = f"sqlite:///{tmp_path / 'db'}"
    made = (
        "import sys; from hydria.octavia.control.given import *\n"
        f"servers = Servers(db={url!r})\n"
        "one, two, three = Lab('lab', '1'), Lab('lab', '2'), Lab('other', '3')\n"
        "take(servers, one)\n"
        "for each in (two, three):\n"
        "    try: take(servers, each)\n"
        "    except Refused as error: print(error)\n"
        "    leave(servers, each)\n"
        "leave(servers, one); take(servers, two)\n"
    )
    said = subprocess.run([PYTHON, "-W", "ignore", "-c", made], cwd=ROOT, text=True, capture_output=True, check=True).stdout.splitlines()
    assert len(said) == 2
    assert all(f"is not empty: there is {MARK}, of the lab lab;" in each for each in said), said
