"""nftables in the namespace: whom the interfaces' rules let in, and masquerading of what LVS forwards. Two tables of ours, no others touched.

Each load replaces a whole table as one change (nft(8)), so at no moment is anything half open or half closed.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

import templates
from agent import configuration
from agent.errors import SystemFault
from agent.files import replace_file
from agent.network.interfaces import Interface
from agent.network.namespaces import command
from agent.network.requests import Rule
from agent.processes import Runner
from compiler import quoting
from compiler.quoting import Word

#: Seconds for nft.
_PATIENCE = 30.0

_TRANSPORTS = {"TCP": "tcp", "UDP": "udp", "SCTP": "sctp"}


class _Chain(msgspec.Struct, frozen=True):
    name: Word
    rules: tuple[Word, ...]


def rules_text(interfaces: Iterable[Interface]) -> str:
    """The rules of all interfaces that have some, for `nft -f`."""
    chains = [
        _Chain(quoting.keyword(interface.name), tuple(map(_match, interface.rules)))
        for interface in interfaces
        if interface.rules is not None
    ]
    return _render("rules", chains)


def masquerade_text(interfaces: Iterable[Interface]) -> str:
    """For `nft -f`: UDP and SCTP that leave by these interfaces do so with this machine's address."""
    return _render("masquerade", [quoting.keyword(interface.name) for interface in interfaces])


def load(text: str, path: Path, namespace: str, runner: Runner) -> None:
    """Puts a file in place and has the kernel take it, in the namespace. Raises SystemFault with nft's words; the kernel's tables stay then."""
    try:
        configuration.directory(path.parent)
        replace_file(path, text.encode())
    except OSError as error:
        raise SystemFault(f"{path} cannot be written: {error.strerror}") from error
    done = runner.run(command(namespace, ["nft", "-f", str(path)]), timeout=_PATIENCE)
    if done.code != 0:
        raise SystemFault(f"nft did not take {path}:\n{done.output.rstrip()}")


def _match(rule: Rule) -> Word:
    """What a rule says of packets."""
    words = []
    if rule.cidr is not None:
        words += [quoting.keyword("ip6" if rule.cidr.version == 6 else "ip"), quoting.keyword("saddr"), quoting.network(rule.cidr)]
    if rule.protocol == "vrrp":
        words.append(quoting.own("meta l4proto vrrp"))
    else:
        words += [quoting.keyword(_TRANSPORTS[rule.protocol]), quoting.keyword("dport"), quoting.keyword(str(rule.port))]
    return quoting.line(*words)


def _render(name: str, interfaces: Iterable[object]) -> str:
    return templates.environment(_finalize).get_template(f"nftables/{name}.nft.j2").render(interfaces=interfaces)


def _finalize(value: object) -> object:
    if type(value) is Word or type(value) is int:
        return value
    raise SystemFault(f"{value!r} ({type(value).__name__}) reached a template; only words made by compiler.quoting and numbers may")
