"""Whatever is in a string of the graph or of the target: it is a problem of its field, or every file has the lines that it has for a
harmless string, and no others.
"""

from __future__ import annotations

import ipaddress
import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import building
import every_string
import haproxy_words
import hostile
import msgspec
import other_words
import pytest
import whole_graph
from every_string import Spot
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import compiler
from compiler import ProblemError, Secret, Severity
from compiler.graph import LoadBalancer
from compiler.lower import peer_name
from compiler.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from compiler import Bundle, Problem

GRAPH, TARGET = whole_graph.GRAPH, whole_graph.TARGET
OF_GRAPH = every_string.spots(LoadBalancer, GRAPH, "loadbalancer")
OF_TARGET = every_string.spots(Target, TARGET, "target")
BOUND: dict[str, Any] = {**TARGET, "bind_address": "127.0.0.1"}


class Line(NamedTuple):
    """A line as its reader cuts it into words."""

    file: str
    words: tuple[str, ...]


def build(document: Any, target: Any, known: Mapping[str, Secret]) -> tuple[Bundle | None, tuple[Problem, ...]]:
    """The bundle, or why there is none."""
    try:
        graph = compiler.load(json.dumps({"loadbalancer": document}))
    except ProblemError as error:
        return None, tuple(error.problems)
    bundle = compiler.build(graph, msgspec.convert(target, Target), known)
    return (bundle if bundle.ok else None), bundle.problems


#: How the reader of a file with this suffix cuts its lines into words.
_CUT: dict[str, Callable[[str], list[str]]] = {
    "cfg": haproxy_words.words,
    "conf": other_words.keepalived,
    "nft": other_words.nft,
    "pem": lambda line: [line],
    "value": other_words.patterns,
}


def lines(bundle: Bundle) -> list[Line]:
    """All lines of all files. Certificates' files are named after their references, whatever is in these; what is in the list of a rule's
    value stands where the list is named, as it does where a list cannot hold it.
    """
    found = []
    for path, file in bundle.files.items():
        text = file.content.decode()
        cut = _CUT.get(path.rpartition(".")[2], other_words.listed)
        name = _CERTIFICATE.sub("certs/*", path)
        found += [Line(name, tuple(_CERTIFICATE.sub("certs/*", word) for word in cut(line))) for line in text.split("\n")]
    values = {
        line.file: [word for other in found if other.file == line.file for word in other.words] for line in found if "value" in line.file
    }
    found = [Line(file, _with_value(words, values)) for file, words in found if file not in values]
    return sorted(found, key=lambda line: line.file)


def _with_value(words: tuple[str, ...], values: Mapping[str, list[str]]) -> tuple[str, ...]:
    return (*words[:-2], "--", *values[words[-1]]) if words[-2:-1] == ("-f",) and words[-1] in values else words


_CERTIFICATE = re.compile(r"certs/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def secrets() -> dict[str, Secret]:
    """Material for every reference of the graph."""
    found = building.secrets()
    return found | {"members-authority": found["authority"], "members-revocations": found["revocations"]}


def harmless(target: Any) -> list[Line]:
    bundle, problems = build(GRAPH, target, secrets())
    assert bundle is not None, "\n".join(map(str, problems))
    return lines(bundle)


HARMLESS = harmless(TARGET)


def same_but_for(spot: Spot, replaced: str, before: list[Line], bundle: Bundle) -> None:
    """The same lines: where the string was not, to the word; where it was, as many words after the same keyword."""
    after = lines(bundle)
    assert [line.file for line in after] == [line.file for line in before]
    for old, new in zip(before, after, strict=True):
        if not any(replaced.removeprefix("/") in word for word in old.words):
            assert new == old
        elif spot.field[1] != "tls_ciphers":  # one list in the API, two in HAProxy: for TLS 1.3 and for what was before
            assert (new.words[:1], len(new.words)) == (old.words[:1], len(old.words))


def told_of(spot: Spot, problems: tuple[Problem, ...], *also: str) -> None:
    """An error names the field, or its object; the input as a whole where no JSON could hold the string."""
    told = {problem.path for problem in problems if problem.severity is Severity.ERROR}
    assert told & {spot.path, re.sub(r"\[\d+\]$", "", spot.path), spot.path.rpartition(".")[0], "", *also}, (spot.path, told)


def is_plain(text: str) -> bool:
    """Whether this is an address, a network or an id like any other: nothing hostile in it, but another graph."""
    if re.fullmatch(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", text):
        return True
    try:
        return "%" not in text and bool(ipaddress.ip_network(text, strict=False))
    except ValueError:
        return False


def holds(spot: Spot, text: str) -> None:
    """The property, for a string of the graph."""
    assume(not is_plain(text))
    replaced = every_string.at(GRAPH, spot)
    if spot.field[1].endswith(("_ref", "_refs", "tls_ciphers", "id")):
        assume(text)  # nothing at all: another graph
    # A reference may be called anything, so there is a secret by this name, too.
    known = {**secrets(), text: secrets()[replaced]} if spot.field[1].endswith(("_ref", "_refs")) else secrets()
    bundle, problems = build(every_string.with_string(GRAPH, spot, text), TARGET, known)
    if bundle is not None:
        same_but_for(spot, replaced, HARMLESS, bundle)
        return
    others = []
    if spot.field == ("Pool", "name"):
        others = [other.path for other in OF_GRAPH if other.field == ("Pool", "name") and "_pool.name" in other.path]
        others += [path.removesuffix(".name") for path in others]  # no name at all: nothing is said about which pool
    elif spot.field == ("Pool", "id"):
        others = [other.path for other in OF_GRAPH if other.field[1].endswith("_pool_id")]
    told_of(spot, problems, *others)


def test_every_field_of_the_graph_that_can_hold_a_string_is_looked_at() -> None:
    assert {spot.field for spot in OF_GRAPH} == every_string.fields_of(LoadBalancer)


def test_every_field_of_the_target_that_can_hold_a_string_is_looked_at() -> None:
    assert {spot.field for spot in OF_TARGET} | {("Target", "bind_address")} == every_string.fields_of(Target)


def test_every_program_is_looked_at() -> None:
    kinds = {re.sub(r"[0-9a-f-]{36}", "*", line.file) for line in HARMLESS}
    assert kinds >= {"haproxy.cfg", "keepalived/*.conf", "keepalived/vrrp.conf", "nftables/filter.nft", "lists/*.allowed"}
    assert [kind for kind in kinds if "crt" in kind]


#: What may stand before a hostile string for the field to take it.
_STARTS = {
    "redirect_url": ["http://x/"],
    "redirect_prefix": ["http://x/"],
    "url_path": ["/"],
    "run_directory": ["/run/"],
    "check_command": ["/usr/bin/x"],
    "log": ["/dev/log", "127.0.0.1:514"],
}
_ID = "0e0e0e0e-0000-4000-8000-00000000ffff"
_ADDRESSES = ["192.0.2.1", "2001:db8::1", "fe80::1%", "fe80::%"]
_NETWORKS = ["192.0.2.0/24", "2001:db8::/64", "fe80::%"]


def texts(spot: Spot) -> st.SearchStrategy[str]:
    """Hostile strings for the field: as they are, and in the company of what belongs there."""
    name = spot.field[1]
    starts = ["", "a", *_STARTS.get(name, [])]
    starts += [_ID, f"urn:uuid:{_ID}", f"\n{_ID}"] if name == "id" or name.endswith("_id") else []
    starts += _ADDRESSES if "address" in name or name in ("gateway", "nexthop") else []
    starts += _NETWORKS if name in ("allowed_cidrs", "cidr", "destination") else []
    ends = ["", "/64"] if name in ("allowed_cidrs", "cidr", "destination") else [""]
    return st.builds(
        "{}{}{}".format, st.sampled_from(starts), st.one_of(hostile.anything, st.sampled_from(hostile.PIECES)), st.sampled_from(ends)
    )


#: A field that is in many places is looked at in all of them, by one test.
FIELDS = sorted({spot.field for spot in OF_GRAPH})


def look(field: tuple[str, str], data: st.DataObject) -> None:
    spot = data.draw(st.sampled_from([spot for spot in OF_GRAPH if spot.field == field]))
    holds(spot, data.draw(texts(spot)))


#: Of the fields that are in some file, those that take more than a few words: worth more than the others.
FREE = {
    "value",
    "key",
    "redirect_url",
    "redirect_prefix",
    "cookie_name",
    "url_path",
    "domain_name",
    "tls_ciphers",
    "address",
    "monitor_address",
}


@pytest.mark.parametrize("field", [field for field in FIELDS if field[1] not in FREE], ids=".".join)
@given(st.data())
@settings(max_examples=10, deadline=None)
def test_a_string_of_the_graph(field: tuple[str, str], data: st.DataObject) -> None:
    look(field, data)


@pytest.mark.parametrize("field", [field for field in FIELDS if field[1] in FREE], ids=".".join)
@given(st.data())
@settings(max_examples=100, deadline=None)
def test_a_text_of_the_graph(field: tuple[str, str], data: st.DataObject) -> None:
    look(field, data)


@pytest.mark.slow
@pytest.mark.parametrize("field", FIELDS, ids=".".join)
@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_string_of_the_graph_in_many_forms(field: tuple[str, str], data: st.DataObject) -> None:
    look(field, data)


#: The topology is an enumeration: no text gets past the conversion to it.
_FREE = [spot for spot in OF_TARGET if spot.field != ("Target", "topology")]


@pytest.mark.parametrize("spot", _FREE, ids=lambda spot: spot.path)
@given(st.data())
@settings(max_examples=25, deadline=None)
def test_a_string_of_the_target(spot: Spot, data: st.DataObject) -> None:
    text = data.draw(texts(spot))
    assume(not is_plain(text))
    target = every_string.with_string(TARGET, spot, text)
    if spot.path == "target.amphorae[0].id":
        target["amphora"] = text
    replaced = every_string.at(TARGET, spot)
    bundle, problems = build(GRAPH, target, secrets())
    if bundle is None:
        told_of(spot, problems)
    else:
        # Peers are named by a hash of what an amphora is called.
        same_but_for(spot, peer_name(replaced) if spot.field == ("Amphora", "id") else replaced, HARMLESS, bundle)


@given(st.data())
@settings(max_examples=50, deadline=None)
def test_the_address_to_bind(data: st.DataObject) -> None:
    spot = Spot("target.bind_address", ("bind_address",), ("Target", "bind_address"))
    text = data.draw(texts(spot))
    assume(not is_plain(text))
    _, problems = build(GRAPH, every_string.with_string(BOUND, spot, text), secrets())
    told_of(spot, problems)


@given(hostile.anything)
@settings(max_examples=50, deadline=None)
def test_the_name_of_an_inserted_header(text: str) -> None:
    assume(text != "X-Forwarded-Port")
    spot = next(spot for spot in OF_GRAPH if spot.field == ("Listener", "insert_headers"))
    document = every_string.with_string(GRAPH, Spot("", (*spot.way[:-1], text), spot.field), "true")
    _, problems = build(document, TARGET, secrets())
    told_of(Spot(f"loadbalancer.listeners[0].insert_headers.{text}", (), spot.field), problems)
