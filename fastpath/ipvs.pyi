from collections.abc import Iterable
from typing import NamedTuple, Self, final

from typing_extensions import disjoint_base

from fastpath.hashing import Key, Picker

TABLE_SIZES: dict[int, int]

class RealServer(NamedTuple):
    address: bytes
    port: int = ...
    weight: int = ...
    last_weight: int = ...
    overloaded: bool = ...

@disjoint_base
class Table(Picker): ...

@final
class SourceHashing(Table):
    def __new__(cls, servers: Iterable[RealServer], *, key: Key = "source", fallback: bool = False, bits: int = 8) -> Self: ...

@final
class Maglev(Table):
    def __new__(cls, servers: Iterable[RealServer], *, key: Key = "source", fallback: bool = False, table_index: int = 12) -> Self: ...
