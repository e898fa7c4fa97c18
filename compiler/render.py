"""IR → text, through `templates`; and the source map, from the marks that the templates leave at the ends of lines."""

from __future__ import annotations

from functools import lru_cache

import jinja2

import templates
from compiler import ir
from compiler.bundle import HAPROXY_CFG
from compiler.errors import SystemFault
from compiler.index import Object
from compiler.quoting import Word

# A character that no word can hold (quoting refuses control characters) sets the mark off from the line.
_MARK = "\x1e"


class _Mark(str):
    """The mark at the end of a line: the number of its origin."""

    __slots__ = ()


def _finalize(value: object) -> object:
    kind = type(value)
    if kind is Word or kind is int or kind is _Mark:
        return value
    raise SystemFault(f"{value!r} ({kind.__name__}) reached a template; only words made by compiler.quoting and numbers may")


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    return templates.environment(_finalize)


class Rendered:
    """A file's text with, for each line, the number of its origin (-1: nobody's) in `origins`."""

    def __init__(self, text: str, lines: list[int], origins: list[tuple[Object, tuple[str, ...]]]) -> None:
        self.text = text
        self.lines = lines
        self.origins = origins


def render(config: ir.Config) -> dict[str, Rendered]:
    """The text files of a configuration, by path."""
    return {HAPROXY_CFG: _render("haproxy/haproxy.cfg.j2", config=config)}


def _render(template: str, **values: object) -> Rendered:
    origins: list[tuple[Object, tuple[str, ...]]] = []

    def at(node: Object, *fields: str) -> _Mark:
        origins.append((node, fields))
        return _Mark(f"{_MARK}{len(origins) - 1}")

    marked = _environment().get_template(template).render(at=at, **values)
    texts: list[str] = []
    lines: list[int] = []
    for line in marked.removesuffix("\n").split("\n"):
        text, mark, number = line.partition(_MARK)
        texts.append(text)
        lines.append(int(number) if mark else -1)
    return Rendered("\n".join(texts) + "\n", lines, origins)
