"""`fastpath.hashing` against the HAProxy that is installed: which server does each client get, while servers come, go, drain and change weight?

Sixty thousand clients of both families for each HAProxy, given through the PROXY protocol. Each is a connection to a UNIX socket; the servers
are one frontend of the same process, and the answer tells which server had been chosen.
"""

from __future__ import annotations

import ipaddress
import random
import socket
import tempfile
from array import array
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import pytest

from agent.supervised import SupervisedHaproxy
from compiler.ring_ids import id_bases
from fastpath.hashing import Balance, IdBase, Map, Ring, Server

if TYPE_CHECKING:
    from agent.haproxy import Haproxy

#: Clients of each family, for each pool in each stage.
CLIENTS = 1000

#: Connections that wait for their answer at a time: few enough for anybody's limit of open files.
AT_ONCE = 100

CONFIGURATION = """\
global
    stats socket {run}/lb.sock mode 600 level admin
    maxconn 2000
defaults
    mode http
    timeout connect 10s
    timeout client 10s
    timeout server 10s
frontend servers
    bind unix@{run}/servers
    http-request return status 200
"""

POOL = """
frontend of-{name}
    bind unix@{run}/{name} accept-proxy
    http-request set-var(txn.port) src_port
    default_backend {name}
backend {name}
    http-reuse always
    http-response set-header server %s
    balance {balance}
    hash-type {hash_type}
"""


class Pool(NamedTuple):
    """How a backend chooses, in HAProxy's words and in the model's."""

    name: str
    balance: str
    hash_type: str
    model: Callable[[list[Server], IdBase], Balance]

    @property
    def consistent(self) -> bool:
        return self.hash_type.startswith("consistent")


SOURCE_PORT = "hash src,concat(-,txn.port)"

POOLS = (
    Pool("ring", "source", "consistent", lambda servers, base: Ring(servers, id_base=base)),
    Pool("ring-port", SOURCE_PORT, "consistent", lambda servers, base: Ring(servers, key="source-port", id_base=base)),
    Pool(
        "ring-port-wt6", SOURCE_PORT, "consistent wt6", lambda servers, base: Ring(servers, key="source-port", function="wt6", id_base=base)
    ),
    Pool("map", "source", "map-based", lambda servers, _: Map(servers)),
    Pool(
        "map-port",
        SOURCE_PORT,
        "map-based crc32 avalanche",
        lambda servers, _: Map(servers, key="source-port", function="crc32", avalanche=True),
    ),
)

#: Two ids are equal modulo 2^20: their points are, too.
SERVERS = {
    "a": Server(id=5, weight=3),
    "b": Server(id=1048581, weight=10),
    "c": Server(id=7, weight=100),
    "d": Server(id=1000, weight=1),
    "e": Server(id=99999, weight=256),
    "f": Server(id=2, weight=40, usable=False),
    "g": Server(id=3, weight=60, backup=True),
    "h": Server(id=4, weight=30, backup=True),
}

Commands = tuple[str, ...]

#: What is done to a backend before each stage. Map-based backends know 0 % and 100 % only.
RING_STAGES: tuple[Commands, ...] = (
    (),
    ("set server {}/c state drain", "set server {}/d state maint"),
    ("set server {}/e weight 40", "set server {}/b weight 50%", "set server {}/f state ready"),
    ("set server {}/c state ready", "set server {}/d state ready", "set server {}/f weight 0"),
    ("add server {}/new unix@{run}/servers id 424242 weight 77", "enable server {}/new", "set server {}/f weight 100%"),
    ("set server {}/c state maint", "del server {}/c"),
    tuple(f"set server {{}}/{name} state maint" for name in ("a", "b", "d", "e", "f", "new")),
)
MAP_STAGES: tuple[Commands, ...] = (
    (),
    ("set server {}/c state drain", "set server {}/d state maint"),
    ("set server {}/e weight 0%", "set server {}/f state ready"),
    ("set server {}/c state ready", "set server {}/e weight 100%"),
    tuple(f"set server {{}}/{name} state maint" for name in ("a", "b", "c", "d", "e", "f")),
)


def expect(command: str, servers: dict[str, Server], consistent: bool) -> None:
    """Does to the model's servers what a command does to HAProxy's."""
    verb, _, place, *words = command.split()
    name = place.partition("/")[2]
    old = servers.get(name, Server())
    if verb == "add":
        servers[name] = Server(id=int(words[2]), weight=int(words[4]), usable=False)
    elif verb == "del":
        del servers[name]
    elif verb == "enable" or words[:1] == ["state"]:
        servers[name] = old._replace(usable=verb == "enable" or words[1] == "ready")
    elif consistent:
        weight = int(words[1].rstrip("%"))
        servers[name] = old._replace(weight=SERVERS[name].weight * weight // 100 if words[1].endswith("%") else weight)
    else:
        servers[name] = old._replace(usable=words[1] != "0%")


def clients(seed: str, width: Literal[4, 16]) -> tuple[bytes, list[int]]:
    """Packed addresses and ports; IPv6 ones in a few shapes, because their text has several."""
    dice = random.Random(f"{seed} {width}")
    addresses = bytearray()
    for number in range(CLIENTS):
        packed = dice.randbytes(width)
        if width == 16:
            zeros = number % 15
            packed = (packed[:2], bytes(10) + b"\xff\xff", bytes(12))[number % 3] + bytes(zeros) + packed
        elif number % 3 == 0:
            packed = b"\x0a\x14" + packed[2:]
        addresses += packed[:width]
    return bytes(addresses), [dice.randint(1, 65535) for _ in range(CLIENTS)]


def chosen(path: Path, addresses: bytes, ports: list[int], width: int) -> Iterator[str]:
    """Asks HAProxy for each client, tells the server's name."""
    family = "TCP4 {} 192.0.2.1" if width == 4 else "TCP6 {} 2001:db8::1"
    heads = []
    for number, port in enumerate(ports):
        client = ipaddress.ip_address(addresses[number * width : (number + 1) * width])
        heads.append(f"PROXY {family.format(client)} {port} 80\r\nGET / HTTP/1.0\r\n\r\n".encode())
    for begin in range(0, len(heads), AT_ONCE):
        with ExitStack() as held:
            asked = []
            for head in heads[begin : begin + AT_ONCE]:
                connection = held.enter_context(socket.socket(socket.AF_UNIX))
                connection.settimeout(20)
                connection.connect(str(path))
                connection.sendall(head)
                asked.append(connection)
            for connection in asked:
                answer = b""
                while chunk := connection.recv(4096):
                    answer += chunk
                _, found, rest = answer.partition(b"\r\nserver: ")
                assert found, answer
                yield rest.partition(b"\r\n")[0].decode()


@pytest.fixture
def run_directory() -> Iterator[Path]:
    """A short path: those of UNIX sockets are limited."""
    with tempfile.TemporaryDirectory(prefix="h") as directory:
        yield Path(directory)


def configuration(run: Path) -> str:
    text = CONFIGURATION.format(run=run)
    for pool in POOLS:
        text += POOL.format(run=run, name=pool.name, balance=pool.balance, hash_type=pool.hash_type)
        for name, server in SERVERS.items():
            words = f"id {server.id} weight {server.weight}{' backup' * server.backup}{' disabled' * (not server.usable)}"
            text += f"    server {name} unix@{run}/servers {words}\n"
    return text


def test_every_client_gets_the_server_that_the_model_says(haproxy: Haproxy, run_directory: Path) -> None:
    (run_directory / "haproxy.cfg").write_text(configuration(run_directory))
    asked = 0
    with SupervisedHaproxy(haproxy, run_directory, run_directory, "lb") as running:
        running.start()
        for pool in POOLS:
            servers = dict(SERVERS)
            for number, commands in enumerate(RING_STAGES if pool.consistent else MAP_STAGES):
                for command in commands:
                    answer = running.stats.ask(command.format(pool.name, run=run_directory))
                    assert answer.strip() in ("", "New server registered.", "Server deleted."), (command, answer)
                    expect(command, servers, pool.consistent)
                model, names = pool.model(list(servers.values()), id_bases(haproxy.version)[0]), list(servers)
                for width in (4, 16):
                    addresses, ports = clients(f"{pool.name} {number}", 4 if width == 4 else 16)
                    picks = model.pick_many(addresses, array("H", ports), width=4 if width == 4 else 16)
                    told = list(chosen(run_directory / pool.name, addresses, ports, width))
                    assert told == [names[pick] for pick in picks], (pool.name, number)
                    asked += len(told)
    assert asked >= 20_000
