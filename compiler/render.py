"""IR → text, through `templates`; and the source map, from the marks that the templates leave at the ends of lines."""

from __future__ import annotations

from functools import lru_cache

import jinja2

import templates
from compiler import ir
from compiler.bundle import FILTER_NFT, HAPROXY_CFG, VRRP_CONF, Origins, lvs_conf
from compiler.errors import SystemFault
from compiler.index import Object
from compiler.lower import Lowered
from compiler.quoting import Word, Words

# Characters that no word can hold (quoting refuses control characters) set off the mark of a line, and a line that stands for a block.
_MARK = "\x1e"
_BLOCK = "\x1d"


class _Mark(str):
    """The mark at the end of a line, with the number of its origin; or one that stands for the lines of a backend's servers."""

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
    """A file's text with, for each line, the number of its origin (-1: nobody's)."""

    def __init__(self, text: str, lines: list[int], origins: Origins) -> None:
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


_SERVER_FIELDS = ("address", "protocol_port", "weight", "backup", "admin_state_up", "monitor_address", "monitor_port")
_BLANK = Word("%s")


@lru_cache(maxsize=16)
def _server_line(backup: bool, disabled: bool, check_address: bool, check_port: bool) -> str:
    """The line of a server that has these, with %s for each value in turn."""
    return (
        _environment()
        .get_template("haproxy/server.j2")
        .render(
            name=_BLANK,
            endpoint=_BLANK,
            id=_BLANK,
            weight=_BLANK,
            backup=backup,
            disabled=disabled,
            check_address=_BLANK if check_address else None,
            check_port=_BLANK if check_port else None,
        )
    )


def _server_lines(servers: ir.Servers) -> list[str]:
    usual = _server_line(backup=False, disabled=False, check_address=False, check_port=False)
    if type(servers.names) is not Words or type(servers.endpoints) is not Words:
        raise SystemFault("servers have names or endpoints that compiler.quoting did not make")
    lines = list(map(usual.__mod__, zip(servers.names, servers.endpoints, servers.ids, servers.weights, strict=True)))
    for place, more in servers.unusual.items():
        form = _server_line(more.backup, more.disabled, more.check_address is not None, more.check_port is not None)
        checked = [value for value in (more.check_address, more.check_port) if value is not None]
        lines[place] = form % (servers.names[place], servers.endpoints[place], servers.ids[place], servers.weights[place], *checked)
    return lines


def _render(template: str, **values: object) -> Rendered:
    origins = Origins()
    blocks: list[ir.Servers] = []

    def at(node: Object, *fields: str) -> _Mark:
        return _Mark(f"{_MARK}{origins.add([node], fields)}")

    def servers(backend: ir.Backend) -> _Mark:
        blocks.append(backend.servers)
        return _Mark(f"{_BLOCK}{len(blocks) - 1}")

    marked = _environment().get_template(template).render(at=at, servers=servers, **values)
    texts: list[str] = []
    lines: list[int] = []
    for line in marked.removesuffix("\n").split("\n"):
        if line.startswith(_BLOCK):
            block = blocks[int(line[1:])]
            texts += _server_lines(block)
            first = origins.add(block.nodes, _SERVER_FIELDS)
            lines += range(first, first + len(block.nodes))
        else:
            text, mark, number = line.partition(_MARK)
            texts.append(text)
            lines.append(int(number) if mark else -1)
    return Rendered("\n".join(texts) + "\n", lines, origins)
