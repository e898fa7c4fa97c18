"""`Bundle`: what a build results in. Files by relative path, the problems found, a digest, and the source map back to the graph."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from compiler.errors import SystemFault
from compiler.index import Object
from compiler.problems import ObjectRef, Problem, has_errors

#: The file that HAProxy is started with; all other files are named in it, relative to it.
HAPROXY_CFG = "haproxy.cfg"
#: The VRRP instance of an active-standby pair, for a keepalived of its own.
VRRP_CONF = "keepalived/vrrp.conf"
#: The load balancer's packet filter, for `nft -f`, where it has UDP or SCTP listeners.
FILTER_NFT = "nftables/filter.nft"


def lvs_conf(listener_id: str) -> str:
    """The file of a UDP or SCTP listener, for a keepalived of its own."""
    return f"keepalived/{listener_id}.conf"


class File(msgspec.Struct, frozen=True):
    """Content and permission bits of one file; the content of a secret file (keys) is not shown by `repr`."""

    content: bytes
    mode: int = 0o644
    secret: bool = False

    def __repr__(self) -> str:
        shown = "<secret>" if self.secret else f"{len(self.content)} bytes"
        return f"File({shown}, mode={self.mode:#o})"


class Origin(msgspec.Struct, frozen=True):
    """What a rendered line comes from: the object, its path in the input, and the fields that the line expresses."""

    object: ObjectRef
    path: str
    fields: tuple[str, ...] = ()


class Origins:
    """What lines come from, as (object, fields) by number; in columns, which cost next to nothing for lines of one kind."""

    def __init__(self) -> None:
        self._nodes: list[Object] = []
        self._fields: list[tuple[str, ...]] = []

    def add(self, nodes: Sequence[Object], fields: tuple[str, ...]) -> int:
        """One line for each of `nodes`; the number of the first."""
        first = len(self._nodes)
        self._nodes += nodes
        self._fields += [fields] * len(nodes)
        return first

    def extend(self, others: Origins) -> int:
        """All of `others` behind these; by how much their numbers have grown."""
        first = len(self._nodes)
        self._nodes += others._nodes
        self._fields += others._fields
        return first

    def __getitem__(self, number: int) -> tuple[Object, tuple[str, ...]]:
        return self._nodes[number], self._fields[number]

    def number_of(self, object_id: str) -> int | None:
        """The first line of the object with this id."""
        return next((number for number, node in enumerate(self._nodes) if node.id == object_id), None)


class SourceMap:
    """Rendered line → origin, for each file; and the reverse.

    Origins are kept as (object, fields) and described only when somebody asks: a build has tens of thousands of lines, a complaint one.
    `lines[path][n]` is the index of the origin of line n + 1, or -1 where the line is nobody's; `owners[path]` the object
    and fields that a file as a whole was made for.
    """

    def __init__(
        self,
        origins: Origins | None = None,
        lines: Mapping[str, list[int]] | None = None,
        owners: Mapping[str, tuple[Object, tuple[str, ...]]] | None = None,
        describe: Callable[[Object, tuple[str, ...]], Origin] | None = None,
    ) -> None:
        self._origins = origins or Origins()
        self._lines = lines or {}
        self._owners = owners or {}
        self._describe = describe

    def at(self, path: str, line: int) -> Origin | None:
        """The origin of line `line` (from 1) of the file `path` of the bundle; for a file without a map, that of the file; else None."""
        if path not in self._lines:
            return self._origin(*self._owners[path]) if path in self._owners else None
        numbers = self._lines[path]
        if not 0 < line <= len(numbers) or numbers[line - 1] < 0:
            return None
        return self._origin(*self._origins[numbers[line - 1]])

    def owner(self, path: str) -> Origin | None:
        """The origin of a file that was made as a whole for one object; None for one whose lines have their own."""
        return self._origin(*self._owners[path]) if path in self._owners and path not in self._lines else None

    def lines_of(self, object_id: str) -> Iterator[tuple[str, int, Origin]]:
        """Every (file, line, origin) that the object with this id caused, in the order of the files."""
        for path, numbers in sorted(self._lines.items()):
            for line, number in enumerate(numbers, 1):
                if number >= 0 and self._origins[number][0].id == object_id:
                    yield path, line, self._origin(*self._origins[number])

    def object_with_id(self, object_id: str) -> Origin | None:
        """The first origin of the object with this id, or None: to find whom a name in a complaint belongs to."""
        number = self._origins.number_of(object_id)
        return None if number is None else self._origin(*self._origins[number])

    def _origin(self, node: Object, fields: tuple[str, ...]) -> Origin:
        if self._describe is None:
            raise SystemFault("a source map with origins was made without a way to describe them")
        return self._describe(node, fields)


class Bundle(msgspec.Struct, frozen=True):
    """The result of `compiler.build`. With errors among the problems there are no files."""

    files: dict[str, File]
    problems: tuple[Problem, ...]
    source_map: SourceMap
    digest: str

    @property
    def ok(self) -> bool:
        """Whether the files may be used: no problem is an error."""
        return not has_errors(self.problems)


def digest_of(files: Mapping[str, File]) -> str:
    """SHA-256, in hex, over paths, modes and contents; equal digests mean equal files."""
    digest = hashlib.sha256()
    for path in sorted(files):
        file = files[path]
        digest.update(f"{path}\0{file.mode:o}\0{len(file.content)}\0".encode())
        digest.update(file.content)
    return digest.hexdigest()
