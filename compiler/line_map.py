"""A bundle's source map in a form that can be written down and asked both ways: which object caused a line, which lines an object caused."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from compiler.bundle import Bundle, File, Origin

#: What the map is called beside the files of its bundle.
LINE_MAP = ".hydria-lines.json"


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A line (from 1) of a file of a bundle and what caused it, None where that is nobody; `line` is None for a file that was made as a whole."""

    file: str
    line: int | None
    origin: Origin | None


class LineMap(msgspec.Struct, frozen=True, kw_only=True):
    """`files[path][n]` is the place in `origins` of what caused line n + 1, -1 where that is nobody; `wholes[path]` the same for a file
    that was made as a whole for one object.
    """

    origins: tuple[Origin, ...]
    files: dict[str, tuple[int, ...]]
    wholes: dict[str, int]

    def at(self, file: str, line: int) -> Origin | None:
        """What caused the line; None where nobody did, or there is no such line or file."""
        if file in self.wholes:
            return self.origins[self.wholes[file]]
        numbers = self.files.get(file, ())
        return self.origins[numbers[line - 1]] if 0 < line <= len(numbers) and numbers[line - 1] >= 0 else None

    def caused_by(self, path: str, field: str | None = None) -> Iterator[Line]:
        """The lines that the object at this path caused, or only those that its field has to do with, in the order of the files."""
        wanted = {number for number, origin in enumerate(self.origins) if origin.path == path and (field is None or field in origin.fields)}
        for file in sorted(self.files.keys() | self.wholes.keys()):
            if file in self.wholes:
                if self.wholes[file] in wanted:
                    yield Line(file=file, line=None, origin=self.origins[self.wholes[file]])
            else:
                for line, number in enumerate(self.files[file], 1):
                    if number in wanted:
                        yield Line(file=file, line=line, origin=self.origins[number])

    def paths(self, word: str) -> list[str]:
        """The paths of the objects that an id, a name or a path means, of those that caused anything."""
        return list(dict.fromkeys(o.path for o in self.origins if word in (o.object.id, o.object.name, o.path)))


def line_map(bundle: Bundle) -> LineMap:
    """The bundle's."""
    origins: dict[Origin, int] = {}
    files: dict[str, tuple[int, ...]] = {}
    wholes: dict[str, int] = {}
    for path, file in bundle.files.items():
        owner = bundle.source_map.owner(path)
        if owner is not None:
            wholes[path] = origins.setdefault(owner, len(origins))
            continue
        found = (bundle.source_map.at(path, line) for line in range(1, file.content.count(b"\n") + 1))
        files[path] = tuple(-1 if origin is None else origins.setdefault(origin, len(origins)) for origin in found)
    return LineMap(origins=tuple(origins), files=files, wholes=wholes)


def with_line_map(bundle: Bundle) -> Bundle:
    """The bundle with its map as one more file. The digest stays: it is about what the programs read."""
    return msgspec.structs.replace(bundle, files={**bundle.files, LINE_MAP: File(msgspec.json.encode(line_map(bundle)) + b"\n")})
