from array import array
from collections.abc import Iterable
from typing import Literal, NamedTuple, Self, TypeAlias, final

from typing_extensions import Buffer, disjoint_base

Key: TypeAlias = Literal["source", "source-port"]
Function: TypeAlias = Literal["sdbm", "djb2", "wt6", "crc32"]
HashKey: TypeAlias = Literal["id", "addr", "addr-port", "id32", "guid"]
IdBase: TypeAlias = Literal["x4096", "rehash"]

class Server(NamedTuple):
    id: int = ...
    weight: int = ...
    backup: bool = ...
    usable: bool = ...
    hash_key: HashKey = ...
    address: bytes = ...
    port: int = ...
    guid: bytes = ...

@disjoint_base
class Picker:
    @property
    def weights(self) -> tuple[int, ...]: ...
    def pick(self, address: bytes, port: int | None = None) -> int: ...
    def pick_many(self, addresses: Buffer, ports: Buffer | None = None, *, width: Literal[4, 16] = 4) -> array[int]: ...

@disjoint_base
class Balance(Picker):
    def pick_key(self, key: bytes) -> int: ...
    def pick_keys(self, keys: Iterable[bytes]) -> array[int]: ...

@final
class Map(Balance):
    def __new__(
        cls,
        servers: Iterable[Server],
        *,
        key: Key = "source",
        function: Function | None = None,
        avalanche: bool = False,
        allbackups: bool = False,
    ) -> Self: ...

@final
class Ring(Balance):
    def __new__(
        cls,
        servers: Iterable[Server],
        *,
        key: Key = "source",
        function: Function | None = None,
        avalanche: bool = False,
        allbackups: bool = False,
        id_base: IdBase = "x4096",
    ) -> Self: ...

def endpoint_key(address: bytes, port: int) -> bytes: ...
def rehashed_twin(server_id: int) -> int: ...
def twin_of_rehashed(server_id: int) -> int: ...
