"""Servers that Octavia uses, from Debian's packages, each a process of a test's own in a directory of its own: none is the machine's, none outlives the test."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from support.polling import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: Seconds for a server to answer.
_PATIENCE = 120
#: What must be written otherwise in a URL, and what oslo.config takes for something else.
PASSWORD = "p$w@/d"


def lacking() -> list[str]:
    """Debian packages that are not here."""
    found = {
        "postgresql": any(Path("/usr/lib/postgresql").glob("*/bin/postgres")),
        "mariadb-server": shutil.which("mariadbd"),
        "rabbitmq-server": shutil.which("rabbitmq-server"),
        "redis-server": shutil.which("redis-server"),
    }
    return [name for name, there in found.items() if not there]


@contextmanager
def postgresql() -> Iterator[str]:
    """A database's URL. It is reached by a UNIX socket alone."""
    [programs, *_] = Path("/usr/lib/postgresql").glob("*/bin")
    as_postgres = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")
    with _directory("postgres") as directory:
        data = directory / "data"
        make: list[str | Path] = [*as_postgres, programs / "initdb", "-D", data, "-A", "trust", "-U", "octavia", "--no-sync"]
        subprocess.run(make, check=True, cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        run: list[str | Path] = [
            *as_postgres,
            programs / "postgres",
            "-D",
            data,
            "-c",
            "listen_addresses=",
            "-k",
            directory,
            "-c",
            "fsync=off",
        ]
        with _running(run, directory), socket.socket(socket.AF_UNIX) as asking:
            eventually(lambda: _connects(asking, directory / ".s.PGSQL.5432"), "PostgreSQL", _PATIENCE)
            yield f"postgresql://octavia@/postgres?host={directory}"


@contextmanager
def mariadb() -> Iterator[str]:
    """A database's URL. It is reached by TCP, with a password."""
    with _directory("mysql") as directory:
        data, port = directory / "data", _free_port()
        make = ["mariadb-install-db", f"--datadir={data}", "--user=mysql", "--skip-test-db"]
        subprocess.run(make, check=True, cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        first = directory / "first.sql"
        # A statement a line.
        first.write_text(
            "CREATE DATABASE octavia;\n"
            f"CREATE USER octavia@localhost IDENTIFIED BY '{PASSWORD}';\n"
            "GRANT ALL ON octavia.* TO octavia@localhost;\n"
        )
        run = [
            *("mariadbd", "--no-defaults", "--user=mysql", f"--datadir={data}", f"--socket={directory / 'socket'}", f"--init-file={first}"),
            *("--bind-address=127.0.0.1", f"--port={port}", "--innodb-flush-log-at-trx-commit=0", f"--pid-file={directory / 'pid'}"),
        ]
        with _running(run, directory):
            _await(port, "MariaDB")
            yield f"mysql://octavia:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/octavia"


@contextmanager
def rabbitmq() -> Iterator[str]:
    """A transport's URL."""
    with _directory("root") as directory:
        port, names, others = _free_port(), _free_port(), _free_port()
        environment = {
            **os.environ,
            "HOME": str(directory),
            "RABBITMQ_NODENAME": "hydria@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_DIST_PORT": str(others),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "ERL_EPMD_PORT": str(names),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            **{f"RABBITMQ_{name}_BASE": str(directory / name.lower()) for name in ("MNESIA", "LOG")},
            **{f"RABBITMQ_{name}_FILE": str(directory / name.lower()) for name in ("PID", "CONFIG", "CONF_ENV", "ENABLED_PLUGINS")},
        }
        # Otherwise it starts one that nobody ends.
        with _running(["epmd"], directory, environment):
            _await(names, "epmd")
            with _running(["/usr/lib/rabbitmq/bin/rabbitmq-server"], directory, environment):
                _await(port, "RabbitMQ")
                yield f"rabbit://guest:guest@127.0.0.1:{port}/"


@contextmanager
def redis() -> Iterator[str]:
    """A job board's URL."""
    with _directory("root") as directory:
        port = _free_port()
        run: list[str | Path] = [
            "redis-server",
            "--bind",
            "127.0.0.1",
            "--port",
            str(port),
            "--save",
            "",
            "--requirepass",
            "secret",
            "--dir",
            directory,
        ]
        with _running(run, directory):
            _await(port, "Redis")
            yield f"redis://:secret@127.0.0.1:{port}/2"


@contextmanager
def _directory(user: str) -> Iterator[Path]:
    """One of this user's, on a path that everybody may take."""
    made = Path(tempfile.mkdtemp(prefix="hydria-servers-", dir="/tmp"))
    try:
        shutil.chown(made, user)
        yield made
    finally:
        shutil.rmtree(made)


@contextmanager
def _running(command: Sequence[str | Path], directory: Path, environment: dict[str, str] | None = None) -> Iterator[None]:
    """Ends it with all that it has started."""
    with (
        (directory / "said").open("ab") as log,
        subprocess.Popen(
            command, cwd=directory, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        ) as process,
    ):
        try:
            yield
        finally:
            # At once: nothing of it is wanted any more.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def _await(port: int, what: str) -> None:
    def answers() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            return False
        return True

    eventually(answers, what, _PATIENCE)


def _connects(asking: socket.socket, place: Path) -> bool:
    try:
        asking.connect(str(place))
    except OSError:
        return False
    return True
