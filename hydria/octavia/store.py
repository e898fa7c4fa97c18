"""Where a cloud's things are kept: one SQLite file that several processes use at once, in short transactions, one writer at a time.

A thing is a row with its JSON; whose an address is, is a row of its own, so that SQLite sees to it that nobody else has it.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, TypeVar

import msgspec

from agent.errors import ConflictError, NotFoundError
from hydria.octavia.cloud_things import Port, Thing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

T = TypeVar("T", bound=Thing)

#: Seconds that a writer waits for the others.
_PATIENCE = 30.0

_TABLES = """\
CREATE TABLE things (kind TEXT NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL, device TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (kind, id));
CREATE INDEX by_name ON things (kind, name);
CREATE INDEX by_device ON things (kind, device);
CREATE TABLE taken (network TEXT NOT NULL, address TEXT NOT NULL, port TEXT NOT NULL, PRIMARY KEY (network, address));
CREATE INDEX by_port ON taken (port);
"""


class Transaction:
    """All that is done in it is done, or nothing."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def get(self, kind: type[T], identity: str) -> T:
        """Raises NotFoundError."""
        row = self._connection.execute("SELECT body FROM things WHERE kind = ? AND id = ?", (kind.__name__, identity)).fetchone()
        if row is None:
            raise NotFoundError(f"{kind.__name__} {identity} could not be found")
        return msgspec.json.decode(row[0], type=kind)

    def find(self, kind: type[T], *, identity: str | None = None, name: str | None = None, device: str | None = None) -> list[T]:
        """All of a kind that are as said, in the order in which they were made."""
        said = {"id": identity, "name": name, "device": device}
        given = {column: value for column, value in said.items() if value is not None}
        where = "".join(f" AND {column} = ?" for column in given)
        rows = self._connection.execute(
            f"SELECT body FROM things WHERE kind = ?{where} ORDER BY rowid",  # noqa: S608 - the columns are those above
            (kind.__name__, *given.values()),
        )
        return [msgspec.json.decode(row[0], type=kind) for row in rows]

    def put(self, thing: Thing) -> None:
        """Keeps a thing, in the place of the one that has its id."""
        device = thing.device_id if isinstance(thing, Port) else ""
        self._connection.execute(
            "INSERT INTO things VALUES (?, ?, ?, ?, ?) ON CONFLICT (kind, id) DO UPDATE SET name = excluded.name, device = excluded.device,"
            " body = excluded.body",
            (type(thing).__name__, thing.id, thing.name, device, msgspec.json.encode(thing)),
        )

    def remove(self, kind: type[Thing], identity: str) -> bool:
        """Whether there was one."""
        return self._connection.execute("DELETE FROM things WHERE kind = ? AND id = ?", (kind.__name__, identity)).rowcount > 0

    def take(self, network: str, address: str, port: str) -> None:
        """Has a port have an address, of whatever kind. Raises ConflictError where another one has it."""
        try:
            self._connection.execute("INSERT INTO taken VALUES (?, ?, ?)", (network, address, port))
        except sqlite3.IntegrityError:
            raise ConflictError(f"{address} is taken already in network {network}") from None

    def release(self, port: str, address: str | None = None) -> None:
        """Takes an address from a port, or all of them."""
        if address is None:
            self._connection.execute("DELETE FROM taken WHERE port = ?", (port,))
        else:
            self._connection.execute("DELETE FROM taken WHERE port = ? AND address = ?", (port, address))

    def taken(self, network: str) -> set[str]:
        """All addresses that are somebody's."""
        return {row[0] for row in self._connection.execute("SELECT address FROM taken WHERE network = ?", (network,))}


class Store:
    """The file at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self) -> None:
        """Makes it. Raises FileExistsError, OSError."""
        self.path.open("xb").close()
        with closing(self._connect()) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(_TABLES)

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        """What is read in it is of one moment."""
        with self._transaction("BEGIN") as transaction:
            yield transaction

    @contextmanager
    def writing(self) -> Iterator[Transaction]:
        """Nobody else writes meanwhile. What raises leaves all as it was."""
        with self._transaction("BEGIN IMMEDIATE") as transaction:
            yield transaction

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[Transaction]:
        # A connection for each: threads and processes that are forked share none.
        with closing(self._connect()) as connection:
            connection.execute(begin)
            try:
                yield Transaction(connection)
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def _connect(self) -> sqlite3.Connection:
        if not self.path.exists():
            raise NotFoundError(f"there is no cloud at {self.path}")
        connection = sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None)
        # A lab does not outlive a crash of its machine, so nobody need wait for a disk.
        connection.execute("PRAGMA synchronous = OFF")
        return connection
