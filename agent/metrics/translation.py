"""`Translation`: what HAProxy's exporter says, in Octavia's names, piece by piece as it comes.

The exposition format has all lines of a metric together, below its `# HELP` and `# TYPE`. So a piece of text between two such headers is one
metric's, and becomes another's by replacing the same bytes everywhere in it: at the speed of memory, however many lines it has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent.metrics.names import Family, families

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: What the names of proxies have in them through which metrics pass inside the machine: nobody's traffic.
INTERNAL = b"prometheus-exporter"

#: Bytes of a line. HAProxy's are made of names, each of which it holds in less than its own buffer.
_LONGEST = 256 * 1024


class MetricsError(ValueError):
    """What came is not in the exposition format."""


class Ours(NamedTuple):
    """A metric that we know something about, too: what it is, its type (gauge, counter), and lines of it."""

    help: bytes
    kind: bytes
    lines: bytes


class Translation:
    """One answer of the exporter. `extra`: by its name, each metric that has lines of ours; they go to HAProxy's, where it has some."""

    def __init__(self, extra: Mapping[bytes, Ours] | None = None) -> None:
        self._families = families()
        self._extra = dict(extra or {})
        self._rest = b""
        self._family: Family | None = None

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The translation of what has come so far, up to the last whole line. Raises MetricsError."""
        text = self._rest + piece
        end = text.rfind(b"\n") + 1
        self._rest = text[end:]
        if len(self._rest) > _LONGEST:
            raise MetricsError(f"a line of more than {_LONGEST} bytes")
        place = 0
        while place < end:
            if text.startswith(b"#", place):
                after = text.index(b"\n", place) + 1
                yield self._header(text[place:after])
            else:
                after = text.find(b"\n#", place, end) + 1 or end
                if self._family is not None:
                    yield _lines(text[place:after], self._family)
            place = after

    def end(self) -> bytes:
        """All has come; what lines of ours are left then. Raises MetricsError where it ends in the middle of a line."""
        if self._rest:
            raise MetricsError("it ends in the middle of a line")
        return b"".join(
            b"# HELP %b %b\n# TYPE %b %b\n%b" % (name, ours.help, name, ours.kind, ours.lines) for name, ours in self._extra.items()
        )

    def _header(self, line: bytes) -> bytes:
        _, kind, name, *said = line.split(None, 3)
        family = self._family = self._families.get(name)
        if family is None:
            return b""
        if kind == b"HELP":
            return b"# HELP %b %b\n" % (family.name, family.help(said[0].decode(errors="replace").rstrip() if said else ""))
        ours = self._extra.pop(family.name, None)
        return b"# TYPE %b %b" % (family.name, said[0] if said else b"untyped\n") + (ours.lines if ours else b"")


def _lines(text: bytes, family: Family) -> bytes:
    if INTERNAL in text:
        text = b"".join(line for line in text.splitlines(keepends=True) if INTERNAL not in line)
    for old, new in family.replacements():
        text = text.replace(old, new)
    return text
