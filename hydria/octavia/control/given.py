"""`python -m hydria.octavia.control.given take|leave LAB TOKEN`: whether servers that a lab is given can be used, and are empty; and what is left of it there.

Run where the user is, by Octavia's Python, with the URLs on standard input (`hydria.lab.octavia_servers.Servers`). A lab marks each as its own, so
that no two labs share one, and nothing is removed but where its own mark is, which has a token in it: what is somebody else's stays, whatever they call it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit

import msgspec

from hydria.lab.octavia_given import REFUSED
from hydria.lab.octavia_servers import Servers, namespace, shown

if TYPE_CHECKING:
    from collections.abc import Callable

#: The table, the queue and the key that are a mark.
MARK = "hydria_lab"
#: Octavia's topic: a queue, and one with the worker's host behind it; and its exchanges.
_TOPIC, _EXCHANGES = "octavia_provisioning_v2", ("octavia", "octavia_provisioning_v2_fanout")
#: Seconds for a server to answer.
_PATIENCE = 10
#: How many names of tables are told.
_TOLD = 5


class Refused(Exception):  # noqa: N818 - it is what is said, and no mistake
    """It is there, and is not to be used."""


class Lab(NamedTuple):
    """Whose a server is. `token`: which of all that were ever called so."""

    name: str
    token: str

    def __str__(self) -> str:
        return f"{self.name} {self.token}"


class _Database:
    def __init__(self, url: str, lab: Lab) -> None:
        from sqlalchemy import Column, MetaData, String, Table, create_engine  # noqa: PLC0415 - where none is to be spoken to, it is not needed

        self._url, self._lab = url, lab
        self._engine = create_engine(url)
        self._found = MetaData()
        self._mark = Table(MARK, self._found, Column("name", String(128), primary_key=True))

    def take(self) -> None:
        from sqlalchemy import inspect  # noqa: PLC0415

        with self._engine.begin() as connection:
            if tables := inspect(connection).get_table_names():
                others = " …" if len(tables) > _TOLD else ""
                whose = f", of the lab {self._owner(connection).partition(' ')[0]}" if MARK in tables else ""
                raise Refused(
                    f"the database {shown(self._url)} is not empty: there is {', '.join(sorted(tables)[:_TOLD])}{others}{whose}; "
                    "a lab wants one of its own, and removes all that is in it when it ends"
                )
            self._mark.create(connection)
            connection.execute(self._mark.insert().values(name=str(self._lab)))

    def leave(self) -> None:
        from sqlalchemy import inspect  # noqa: PLC0415

        with self._engine.begin() as connection:
            if MARK not in inspect(connection).get_table_names() or self._owner(connection) != str(self._lab):
                return
            self._found.reflect(connection)
            self._found.drop_all(connection)

    def _owner(self, connection: Any) -> str:
        return str(connection.execute(self._mark.select()).scalar())


class _Transport:
    def __init__(self, url: str, lab: Lab) -> None:
        self._url, self._lab = url, lab
        split = urlsplit(url)
        self._vhost = unquote(split.path[1:]) or "/"
        self._places = [f"amqp://{place}//" for place in split.netloc.split(",")]

    def take(self) -> None:
        with self._connected() as connection:
            for queue in (MARK, _TOPIC):
                if _is_there(connection, queue):
                    raise Refused(
                        f"the virtual host of {shown(self._url)} is somebody's: it has a queue {queue}; a lab wants one of its own, as in "
                        "rabbit://USER:PASSWORD@HOST/VHOST (rabbitmqctl add_vhost)"
                    )
            with connection.channel() as channel:
                channel.queue_declare(MARK, durable=True, auto_delete=False)
                # In the queue is whose it is.
                channel.basic_publish(
                    channel.prepare_message(str(self._lab).encode(), content_encoding="binary"), exchange="", routing_key=MARK
                )

    def leave(self) -> None:
        with self._connected() as connection:
            if not _is_there(connection, MARK):
                return
            with connection.channel() as channel:
                # It is put back where it is somebody else's, when the channel ends.
                mark = channel.basic_get(MARK)
                if mark is None or bytes(mark.body) != str(self._lab).encode():
                    return
                for queue in (_TOPIC, f"{_TOPIC}.{self._lab.name}"):
                    channel.queue_delete(queue)
                for exchange in _EXCHANGES:
                    channel.exchange_delete(exchange)
                channel.queue_delete(MARK)

    def _connected(self) -> Any:
        from kombu import Connection  # noqa: PLC0415 - as above

        connection = Connection(self._places, virtual_host=self._vhost, connect_timeout=_PATIENCE)
        connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0)
        return connection


def _is_there(connection: Any, queue: str) -> bool:
    """A channel of its own: where there is none, the broker ends it."""
    with connection.channel() as channel:
        try:
            channel.queue_declare(queue, passive=True)
        except connection.channel_errors:
            return False
    return True


class _JobBoard:
    def __init__(self, url: str, lab: Lab) -> None:
        from redis import Redis  # noqa: PLC0415 - as above

        self._url, self._lab, self._namespace = url, lab, namespace(lab.name)
        self._redis = Redis.from_url(url, socket_timeout=_PATIENCE, socket_connect_timeout=_PATIENCE)

    def take(self) -> None:
        if not self._redis.set(f"{self._namespace}:{MARK}", str(self._lab), nx=True):
            raise Refused(
                f"{shown(self._url)} has the jobs of a lab of this name; name the lab otherwise, or another database of that Redis"
            )

    def leave(self) -> None:
        if self._redis.get(f"{self._namespace}:{MARK}") != str(self._lab).encode():
            return
        for key in self._redis.scan_iter(f"{self._namespace}:*"):
            self._redis.delete(key)


def _known(servers: Servers, lab: Lab) -> list[Callable[[], _Database | _Transport | _JobBoard]]:
    kinds = ((servers.db, _Database), (servers.transport, _Transport), (servers.jobboard, _JobBoard))
    return [lambda kind=kind, url=url: kind(url, lab) for url, kind in kinds if url]  # type: ignore[misc]


def take(servers: Servers, lab: Lab) -> None:
    """Marks all of them, or none. Raises Refused, and what is raised where one cannot be reached."""
    taken = []
    try:
        for make in _known(servers, lab):
            one = make()
            one.take()
            taken.append(one)
    except BaseException:
        for one in taken:
            one.leave()
        raise


def leave(servers: Servers, lab: Lab) -> None:
    """Removes what is a lab's from all that can be reached. Raises ExceptionGroup, of those that cannot."""
    failed = []
    for make in _known(servers, lab):
        try:
            make().leave()
        except Exception as error:  # noqa: BLE001 - whatever it is, the others are to be tried, and it is told
            failed.append(error)
    if failed:
        raise ExceptionGroup("not all could be removed", failed)


def main(what: str, name: str, token: str) -> int:
    """Says on standard error what is amiss, in a few words."""
    servers = msgspec.json.decode(sys.stdin.buffer.read(), type=Servers)
    try:
        {"take": take, "leave": leave}[what](servers, Lab(name, token))
    except Refused as error:
        sys.stderr.write(f"{error}\n")
        return REFUSED
    except Exception as error:  # noqa: BLE001 - of any of three libraries
        several = error.exceptions if isinstance(error, ExceptionGroup) else (error,)
        sys.stderr.write("; ".join(str(getattr(one, "orig", None) or one).strip() for one in several) + "\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
