"""IR → text, through `templates`; and the source map, from the marks that the templates leave at the ends of lines."""

from __future__ import annotations

from functools import lru_cache

import jinja2

import templates
from compiler.bundle import FILTER_NFT, HAPROXY_CFG, VRRP_CONF, lvs_conf
from compiler.errors import SystemFault
from compiler.index import Object
from compiler.lower import Lowered
from compiler.quoting import Word

# A character that no word can hold (quoting refuses control characters) sets the mark off from the line.
_MARK = "\x1e"


class _Mark(str):
    """The mark at the end of a line: the number of its origin."""

    __slots__ = ()


class _AtMember:
    """`at_member[node]` is `at(node, …)` with the fields of a member; a look-up costs Jinja much less than a call, and members are many."""

    FIELDS = ("address", "protocol_port", "weight", "backup", "admin_state_up", "monitor_address", "monitor_port")

    def __init__(self, origins: list[tuple[Object, tuple[str, ...]]]) -> None:
        self._origins = origins

    def __getitem__(self, node: Object) -> _Mark:
        origins = self._origins
        origins.append((node, self.FIELDS))
        return _Mark(f"{_MARK}{len(origins) - 1}")


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


def render(lowered: Lowered) -> dict[str, Rendered]:
    """The text files of a configuration, by path."""
    files = {HAPROXY_CFG: _render("haproxy/haproxy.cfg.j2", config=lowered.config)}
    if lowered.vrrp is not None:
        files[VRRP_CONF] = _render("keepalived/vrrp.conf.j2", vrrp=lowered.vrrp)
    for lvs in lowered.lvs:
        files[lvs_conf(lvs.node.id)] = _render("keepalived/lvs.conf.j2", lvs=lvs)
    if lowered.filter is not None:
        files[FILTER_NFT] = _render("nftables/filter.nft.j2", filter=lowered.filter)
    return files


def _render(template: str, **values: object) -> Rendered:
    origins: list[tuple[Object, tuple[str, ...]]] = []

    def at(node: Object, *fields: str) -> _Mark:
        origins.append((node, fields))
        return _Mark(f"{_MARK}{len(origins) - 1}")

    marked = _environment().get_template(template).render(at=at, at_member=_AtMember(origins), **values)
    texts: list[str] = []
    lines: list[int] = []
    for line in marked.removesuffix("\n").split("\n"):
        text, mark, number = line.partition(_MARK)
        texts.append(text)
        lines.append(int(number) if mark else -1)
    return Rendered("\n".join(texts) + "\n", lines, origins)
