"""`hydria where`: which listener, policy, pool and member a client's request comes to, and why."""

from __future__ import annotations

import ipaddress
import re
import sys
from typing import TYPE_CHECKING

import click
import msgspec

from compiler.matching import Request
from compiler.picking import Client
from compiler.problems import has_errors
from compiler.where import listeners
from compiler.where import where as find
from hydria.cli import FINE, PROBLEMS, inputs
from hydria.cli.output import Output, colourful, verdict, visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compiler.graph import Listener, LoadBalancer
    from compiler.problems import ObjectRef
    from compiler.where import MemberSaid, PolicySaid, Where

#: Where a request goes does not depend on what a secret holds.
_NO_MATTER = ("unknown-secret", "bad-secret")

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def _ip(_ctx: click.Context, _option: click.Parameter, value: str) -> str:
    try:
        address = ipaddress.ip_address(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} given; an IPv4 or IPv6 address is needed") from error
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def _target(_ctx: click.Context, _option: click.Parameter, value: str) -> str:
    if not value.startswith("/") or "#" in value or re.search(r"[\x00-\x20\x7f]", value):
        raise click.BadParameter(f"{value!r} given; what a client sends begins with / and holds no spaces and no #")
    return value


def _pairs(_ctx: click.Context, option: click.Parameter, values: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Each K=V; of headers also `K: V`."""
    found = []
    for text in values:
        match = re.fullmatch(r"([^=:]+)=(.*)" if option.name == "cookies" else r"([^=:]+)[=:](.*)", text, re.DOTALL)
        if match is None or not _TOKEN.fullmatch(match[1]):
            raise click.BadParameter(f"{text!r} given; NAME=VALUE is needed")
        if re.search(r"[\x00-\x08\x0a-\x1f\x7f]" + ("|;" if option.name == "cookies" else ""), match[2]):
            raise click.BadParameter(
                f"{text!r} given; a value holds no control characters" + ("; nor semicolons" * (option.name == "cookies"))
            )
        found.append((match[1], match[2]))
    return tuple(found)


@click.command()
@inputs.graph_argument
@click.option("--client", "address", metavar="IP", required=True, callback=_ip, help="The client's address.")
@click.option("--client-port", metavar="N", type=click.IntRange(1, 65535), help="The port that it connects from: for SOURCE_IP_PORT.")
@click.option("--listener", "wanted", metavar="LISTENER", help="The listener's name, id or port; needed if there are several.")
@click.option(
    "--port", metavar="N", type=click.IntRange(1, 65535), help="The port that the client connects to: another way to name a listener."
)
@click.option("--host", metavar="NAME", help="The host that is asked for.  [default: the VIP]")
@click.option("--path", "target", metavar="PATH", default="/", show_default=True, callback=_target, help="Path, and query if there is one.")
@click.option("--header", "headers", metavar="NAME=VALUE", multiple=True, callback=_pairs, help="A header; may be given again.")
@click.option("--cookie", "cookies", metavar="NAME=VALUE", multiple=True, callback=_pairs, help="A cookie; may be given again.")
@click.option("--down", metavar="MEMBER", multiple=True, help="A member, by name or id, that health checks find down; may be given again.")
@inputs.target_option
@inputs.json_option
@click.pass_obj
def where(
    output: Output,
    *,
    source: inputs.Source,
    address: str,
    client_port: int | None,
    wanted: str | None,
    port: int | None,
    host: str | None,
    target: str,
    headers: tuple[tuple[str, str], ...],
    cookies: tuple[tuple[str, str], ...],
    down: tuple[str, ...],
    target_text: str,
) -> int:
    """Say where a client's request goes by GRAPH (a file, or - for standard input): listener, L7 policy, pool, member, and why.

    Members count as up, except those given with --down. Of a TERMINATED_HTTPS listener, clients come with TLS and show no certificate.
    For source-hashed pools the member is computed as the HAProxy of --target does.
    """
    machine = inputs.target(target_text)
    built = inputs.build(source, None, machine)
    problems = [problem for problem in built.problems if problem.code not in _NO_MATTER]
    if built.graph is None or has_errors(problems):
        if output.json:
            output.document(verdict(source.name, problems))
        else:
            output.problems(source.name, problems, stderr=True)
        return PROBLEMS
    graph = built.graph
    listener = _listener(graph, wanted, port)
    if not any(name.lower() == "host" for name, _ in headers):
        headers = (("Host", _vip(graph, address) if host is None else host), *headers)
    elif host is not None:
        raise click.UsageError("the host is given twice: by --host and by --header")
    if cookies:
        headers = (*headers, ("Cookie", "; ".join(f"{name}={value}" for name, value in cookies)))
    request = Request(target=target, headers=headers)
    answer = find(graph, listener, Client(address=address, port=client_port), request, machine, down=_members(graph, down))
    if output.json:
        output.document({"ok": True, "graph": source.name} | msgspec.to_builtins(answer))
    else:
        for line in _lines(answer, listener):
            click.echo(line, color=colourful(sys.stdout))
    return FINE


def _listener(graph: LoadBalancer, wanted: str | None, port: int | None) -> Listener:
    found = listeners(graph, wanted, port)
    if len(found) == 1:
        return found[0]
    offered = ", ".join(
        f"{listener.name or listener.id} ({listener.protocol} {listener.protocol_port})" for listener in found or graph.listeners
    )
    if not offered:
        raise click.UsageError("the load balancer has no listeners")
    problem = "several listeners could be meant" if found else "there is no such listener"
    raise click.UsageError(f"{problem}; name one with --listener: {offered}")


def _members(graph: LoadBalancer, wanted: tuple[str, ...]) -> set[str]:
    from compiler.index import Index  # noqa: PLC0415 - seldom needed

    members = [member for pool in Index(graph).pools.values() for member in pool.members]
    found: set[str] = set()
    for word in wanted:
        named = {member.id for member in members if word in (member.id, member.name)}
        if not named:
            raise click.BadParameter(f"{word!r} given; there is no member of this name or id", param_hint="--down")
        found |= named
    return found


def _vip(graph: LoadBalancer, client: str) -> str:
    """The address that the client connects to, as a URL's host has it."""
    vips = [graph.vip_address, *(vip.ip_address for vip in graph.additional_vips)]
    vip = next((vip for vip in vips if (":" in vip) == (":" in client)), vips[0])
    return f"[{vip}]" if ":" in vip else vip


_WORDS = {True: click.style("yes", fg="green"), False: click.style("no ", fg="red"), None: click.style("?  ", fg="yellow")}
_ENDS = {
    "refused": ("no connection", "red"),
    "rejected": ("rejected", "red"),
    "redirected": ("redirected", "cyan"),
    "unavailable": ("nobody answers", "red"),
    "metrics": ("metrics", "cyan"),
    "unknown": ("cannot be told", "yellow"),
}


def _lines(answer: Where, listener: Listener) -> Iterator[str]:
    yield _strong(f"listener {_title(answer.listener)}") + visible(f"  {listener.protocol}, port {listener.protocol_port}")
    for policy in answer.policies:
        yield from _policy(policy)
    if answer.outcome != "pool":
        words, colour = _ENDS[answer.outcome]
        status = f" {answer.status}" if answer.status is not None else ""
        to = f" to {answer.location}" if answer.location is not None else ""
        yield click.style(words, fg=colour, bold=True) + visible(f"{status}{to}: {'; '.join(answer.because)}")
        return
    yield _strong(f"pool {_title(answer.pool)}") + visible(f": {'; '.join(answer.because)}")
    for member in answer.candidates:
        chosen = answer.member is not None and member.object.id == answer.member.object.id
        text = visible(_member(member))
        yield "  " + (click.style(f"→ {text}", fg="green", bold=True) if chosen else f"  {text}")
    yield visible(f"  {'that member' if answer.member else 'one of these'}: {answer.member_because}")


def _policy(policy: PolicySaid) -> Iterator[str]:
    word = _WORDS[policy.true] if policy.evaluated else "-  "
    yield f"  {word} " + visible(f"{policy.action} {_title(policy.object)}{f': {policy.note}' if policy.note else ''}")
    for rule in policy.rules:
        yield f"        {_WORDS[rule.true]} " + visible(f"{rule.rule}: {rule.because}")


def _member(member: MemberSaid) -> str:
    place = f"[{member.address}]" if ":" in member.address else member.address
    return f"{_title(member.object)} {place}:{member.protocol_port} weight {member.weight}{' backup' if member.backup else ''}"


def _title(ref: ObjectRef | None) -> str:
    return (ref.name or ref.id) if ref else ""


def _strong(text: str) -> str:
    return click.style(visible(text), bold=True)
