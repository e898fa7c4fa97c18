"""Servers that a lab of Octavia's is given instead of what it would have of its own: a database, a transport, a job board. Pure.

Each is named by a URL, as Octavia's configuration has them. They are where the user is, and Octavia's processes are in the lab, whose network is
another one: so each address is reached by a port of the hypervisor's loopback that leads there (`hydria.lab.relay`), and the URLs say so.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

import msgspec

from agent.errors import InvalidRequest

#: The file with the URLs, for root alone: there may be passwords in them.
SERVERS = "servers.json"
#: The hypervisor's ports begin here, one for each address.
_FIRST_PORT = 20_001
_LOOPBACK = "127.0.0.1"


class Driver(NamedTuple):
    """What Python needs to speak to a server: a module, what it is installed by, and what SQLAlchemy calls it."""

    module: str
    package: str
    scheme: str = ""
    port: int = 0


_POSTGRESQL = Driver("psycopg2", "psycopg2-binary", "postgresql+psycopg2", 5432)
_MARIADB = Driver("pymysql", "PyMySQL", "mysql+pymysql", 3306)
#: By the first word of a URL.
_DATABASES = {
    "postgresql": _POSTGRESQL,
    "postgresql+psycopg2": _POSTGRESQL,
    "mysql": _MARIADB,
    "mysql+pymysql": _MARIADB,
    "mariadb": _MARIADB,
    "mariadb+pymysql": _MARIADB,
}
_RABBITMQ = Driver("kombu", "oslo.messaging[rabbit]", "rabbit", 5672)
_REDIS = Driver("redis", "redis", "redis", 6379)


class Address(NamedTuple):
    """Where a server is: a host and a port, or a UNIX socket's file."""

    host: str
    port: int
    socket: str = ""

    def __str__(self) -> str:
        return self.socket or f"{self.host}:{self.port}"


class Route(NamedTuple):
    """From one of the hypervisor's ports to the first of some addresses that answers at a port, or to a UNIX socket by its name in a directory."""

    here: int
    addresses: tuple[str, ...]
    port: int
    name: str

    def __str__(self) -> str:
        return f"{self.here}=/{self.name}" if self.name else f"{self.here}={','.join(self.addresses)}:{self.port}"

    @classmethod
    def read(cls, text: str) -> Route:
        """What `str` has made of one."""
        here, _, there = text.partition("=")
        if there.startswith("/"):
            return cls(int(here), (), 0, there[1:])
        addresses, _, port = there.rpartition(":")
        return cls(int(here), tuple(addresses.split(",")), int(port), "")


class Servers(msgspec.Struct, frozen=True, kw_only=True):
    """URLs; "" for what the lab has of its own: a file of SQLite, a transport within one process, no job board."""

    db: str = ""
    transport: str = ""
    jobboard: str = ""

    @property
    def urls(self) -> tuple[str, ...]:
        """Those that there are."""
        return tuple(url for url in (self.db, self.transport, self.jobboard) if url)

    @property
    def drivers(self) -> tuple[Driver, ...]:
        """What Octavia's Python needs besides Octavia."""
        database = (_DATABASES[urlsplit(self.db).scheme],) if self.db else ()
        return (*database, *((_RABBITMQ,) if self.transport else ()), *((_REDIS,) if self.jobboard else ()))

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where they are, each once."""
        found = (
            *(_addresses(self.db, _DATABASES[urlsplit(self.db).scheme].port) if self.db else ()),
            *(_addresses(self.transport, _RABBITMQ.port) if self.transport else ()),
            *(_addresses(self.jobboard, _REDIS.port) if self.jobboard else ()),
        )
        return tuple(dict.fromkeys(found))

    @property
    def ports(self) -> dict[Address, int]:
        """By which of the hypervisor's ports each is reached."""
        return {address: _FIRST_PORT + number for number, address in enumerate(self.addresses)}

    @property
    def in_the_lab(self) -> Servers:
        """The same, as they are reached in the lab."""
        ports = self.ports
        return Servers(
            db=_relayed(self.db, _DATABASES[urlsplit(self.db).scheme].port, ports) if self.db else "",
            transport=_relayed(self.transport, _RABBITMQ.port, ports) if self.transport else "",
            jobboard=_relayed(self.jobboard, _REDIS.port, ports) if self.jobboard else "",
        )


#: What a lab has where none is named.
OWN = Servers()


def servers(db: str | None, transport: str | None, jobboard: str | None) -> Servers:
    """What the user names. Raises InvalidRequest, which says what is to be done."""
    if jobboard and not transport:
        raise InvalidRequest("--jobboard is for workers that are processes of their own: name their --transport, too")
    named = Servers(db=_database(db) if db else "", transport=transport or "", jobboard=jobboard or "")
    if transport:
        split = _split("--transport", transport, ("rabbit",), "rabbit://USER:PASSWORD@HOST/VHOST")
        if split.query:
            raise InvalidRequest("--transport: a lab's transport has no options; name rabbit://USER:PASSWORD@HOST/VHOST alone")
    if jobboard:
        split = _split("--jobboard", jobboard, ("redis",), "redis://:PASSWORD@HOST:PORT/NUMBER")
        if not (split.path.strip("/") or "0").isdecimal() or split.query:
            raise InvalidRequest("--jobboard: a database of Redis is a number, and nothing follows it: redis://:PASSWORD@HOST:PORT/NUMBER")
    if not all(address.socket or address.host for address in named.addresses):
        raise InvalidRequest(
            "a URL says which server is meant: a host, or a UNIX socket (postgresql:///NAME?host=DIR, mysql:///NAME?unix_socket=FILE)"
        )
    return named


def namespace(lab: str) -> str:
    """What keys of a lab's job board begin with."""
    return f"hydria-lab-{lab}"


def shown(url: str) -> str:
    """A URL without its password."""
    split = urlsplit(url)
    places = [place.rpartition("@")[2] for place in split.netloc.split(",")]
    return f"{split.scheme}://{','.join(places)}{split.path}"


def user_and_password(url: str) -> tuple[str | None, str | None]:
    """Of the first host; None for what is not said."""
    user, found, _ = urlsplit(url).netloc.split(",")[0].rpartition("@")
    name, has, password = user.partition(":")
    return unquote(name) or None if found else None, unquote(password) if has else None


def _database(url: str) -> str:
    split = _split("--db", url, tuple(_DATABASES), "postgresql://USER:PASSWORD@HOST/NAME or mysql://USER:PASSWORD@HOST/NAME")
    if not split.path.strip("/"):
        raise InvalidRequest(
            f"--db: {shown(url)} names no database; a lab wants an empty one of its own, as in postgresql://USER@HOST/NAME"
        )
    return split._replace(scheme=_DATABASES[split.scheme].scheme).geturl()


def _split(option: str, url: str, schemes: tuple[str, ...], example: str) -> SplitResult:
    try:
        split = urlsplit(url)
        _addresses(url, 1)
    except ValueError as error:
        raise InvalidRequest(f"{option} is no URL ({error}); wanted is one as in {example}") from error
    if split.scheme not in schemes:
        raise InvalidRequest(f"{option} wants a URL that begins with {' or '.join(schemes)}, as in {example}")
    return split


def _addresses(url: str, port: int) -> list[Address]:
    """Raises ValueError."""
    split = urlsplit(url)
    query = dict(parse_qsl(split.query))
    if socket := query.get("unix_socket"):
        return [Address("", 0, socket)]
    if (host := query.get("host", "")).startswith("/"):
        return [Address("", 0, f"{host.rstrip('/')}/.s.PGSQL.{query.get('port', split.port or port)}")]
    places = [urlsplit(f"//{place}") for place in split.netloc.split(",")]
    return [Address(place.hostname or query.get("host", ""), place.port or port) for place in places]


def _relayed(url: str, port: int, ports: dict[Address, int]) -> str:
    """The URL with the hypervisor's ports for its addresses."""
    split = urlsplit(url)
    users = [place.rpartition("@") for place in split.netloc.split(",")]
    places = [f"{user}{at}{_LOOPBACK}:{ports[address]}" for (user, at, _), address in zip(users, _addresses(url, port), strict=True)]
    rest = [(key, value) for key, value in parse_qsl(split.query) if key not in ("host", "port", "unix_socket")]
    return split._replace(netloc=",".join(places), query=urlencode(rest)).geturl()
