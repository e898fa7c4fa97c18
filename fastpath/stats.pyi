from collections.abc import Iterable, Iterator
from typing import NamedTuple, final

from typing_extensions import Buffer

class Columns(NamedTuple):
    texts: dict[str, list[str]]
    numbers: dict[str, list[int | None]]

class Info(NamedTuple):
    texts: dict[str, str]
    numbers: dict[str, int]

@final
class Server:
    @property
    def name(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def weight(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Servers:
    def __len__(self) -> int: ...
    def __getitem__(self, place: int, /) -> Server: ...
    def __iter__(self) -> Iterator[Server]: ...
    def __eq__(self, other: object, /) -> bool: ...

class Backend(NamedTuple):
    name: str
    status: str
    servers: Servers

class Frontend(NamedTuple):
    name: str
    status: str
    scur: int
    stot: int
    bin: int
    bout: int
    ereq: int

class Heartbeat(NamedTuple):
    frontends: list[Frontend]
    backends: list[Backend]

def heartbeat(dump: Buffer) -> Heartbeat: ...
def columns(dump: Buffer, texts: Iterable[str] = (), numbers: Iterable[str] = ()) -> Columns: ...
def names(dump: Buffer) -> list[str]: ...
def servers_state(dump: Buffer, texts: Iterable[str] = (), numbers: Iterable[str] = ()) -> Columns: ...
def info(dump: Buffer, numbers: Iterable[str] = ()) -> Info: ...
