"""Random load balancers, planned: what is the same is no change, in whatever order it stands; and a plan is always one of the four."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from building import build
from graph_strategies import graphs
from haproxy_words import words as oracle
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from compiler import Target
from compiler.changes import Commands, NoOp, Plan, Reload, Restart
from compiler.haproxy_file import lines, read
from compiler.haproxy_words import UnreadableLine, words
from compiler.plan import Files, plan
from compiler.target import SUPPORTED_HAPROXY

if TYPE_CHECKING:
    from collections.abc import Callable

VERSIONS = st.sampled_from(SUPPORTED_HAPROXY)


def files(document: Any, version: tuple[int, ...]) -> Files:
    bundle = build(document, Target(haproxy=version, user=None, group=None, log=None))
    assume(bundle.ok)
    return Files.of(bundle)


@given(graphs(), VERSIONS)
def test_what_we_write_is_read_as_it_was_written(document: Any, version: tuple[int, ...]) -> None:
    written = files(document, version)
    text = written.configuration.decode()
    expected = [tuple(word.encode().decode("latin-1") for word in oracle(line)) for line in text.split("\n")]
    assert [line.words for line in lines(written.configuration)] == [line for line in expected if line]
    read_once = read(written.configuration)
    assert read(_written(read_once)) == read_once
    assert not read_once.fixed
    assert not written.missing()


def _written(configuration: Any) -> bytes:
    """A configuration as text again, each word in quotes."""
    said: list[tuple[str, ...]] = []
    for (kind, name), section in configuration.sections.items():
        said += [(kind, name) if name else (kind,), *section]
    for proxy in configuration.proxies.values():
        said += [("defaults",), *proxy.inherited, (proxy.kind, proxy.name), *proxy.lines]
        defaults: tuple[str, ...] = ()
        for server in proxy.servers.values():
            said += [("default-server", *server.defaults[len(defaults) :])] if server.defaults != defaults else []
            said.append(("server", server.name, server.address, *server.own))
            defaults = server.defaults
    quoted = ("'" + "'\\''".join(word.split("'")) + "'" for line in said for word in (*line, "\n"))
    return "".join("\n" if word == "'\n'" else f"{word} " for word in quoted).encode("latin-1")


@given(graphs(), VERSIONS)
def test_the_same_is_no_change(document: Any, version: tuple[int, ...]) -> None:
    one = files(document, version)
    assert plan(one, Files(one.configuration + b"\n# the same\n", one.contents), version) == NoOp()


@given(graphs(), VERSIONS, st.randoms(use_true_random=False))
def test_another_order_of_sections_and_settings_is_no_change(document: Any, version: tuple[int, ...], chance: random.Random) -> None:
    one = files(document, version)
    text = one.configuration.decode("latin-1")
    head, *proxies = [part for part in text.split("\n\n") if part.strip()]
    rest = [part for part in proxies if not part.startswith(("defaults", "peers"))]
    fixed = [head, *(part for part in proxies if part.startswith(("defaults", "peers")))]
    chance.shuffle(rest)
    shuffled = [_shuffled(part, chance) for part in rest]
    assert plan(one, Files("\n\n".join([*fixed, *shuffled, ""]).encode("latin-1"), one.contents), version) == NoOp()


def _shuffled(section: str, chance: random.Random) -> str:
    """Its settings among its other lines; those keep their order, servers only where no map is made of them."""
    head, *body = section.split("\n")
    movable = ("mode", "maxconn", "timeout", "balance", "hash-type", "cookie", "option", "dynamic-cookie-key", "bind", "stick-table")
    static = any(line.split()[:2] == ["balance", "static-rr"] or line.split()[:2] == ["hash-type", "map-based"] for line in body)
    moves = [not static or line.split()[:1] != ["server"] for line in body]
    moving = [line for line, may in zip(body, moves, strict=True) if may and line.split()[:1] and line.split()[0] in movable]
    staying = [line for line in body if line not in moving]
    chance.shuffle(moving)
    for line in moving:
        staying.insert(chance.randrange(len(staying) + 1), line)
    return "\n".join([head, *staying])


@settings(max_examples=50)
@given(graphs(), graphs(), VERSIONS)
def test_any_two_have_a_plan_which_tells_why(old: Any, new: Any, version: tuple[int, ...]) -> None:
    made = plan(files(old, version), files(new, version), version)
    _well_formed(made)


@given(graphs(), VERSIONS, st.data())
def test_a_changed_member_has_a_plan_of_commands_or_one_that_names_it(document: Any, version: tuple[int, ...], data: st.DataObject) -> None:
    pools = [pool for pool in document["loadbalancer"]["pools"] if pool["members"]]
    before = files(document, version)
    if pools:
        member = data.draw(st.sampled_from(data.draw(st.sampled_from(pools))["members"]))
        member["weight"] = data.draw(st.integers(0, 256))
    made = plan(before, files(document, version), version)
    _well_formed(made)
    if isinstance(made, Reload):
        assert {reason.field for reason in made.reasons} <= {"weight", "balance", "option allbackups"}
    elif isinstance(made, Commands):
        assert {command.field for command in made.commands} == {"weight"}


def _well_formed(made: Plan) -> None:
    if isinstance(made, Reload | Restart):
        assert made.reasons
        assert all(reason.object and reason.field and reason.why for reason in made.reasons)
    elif isinstance(made, Commands):
        assert made.commands
        assert all("\n" not in command.text and command.object and command.field for command in made.commands)
        assert all(command.payload is None or b"\n\n" not in b"\n" + command.payload for command in made.commands)


ANYTHING = st.text(st.sampled_from("abc \t'\"\\#$nrtx41{}%\xe9\n"), max_size=30)


@given(ANYTHING)
def test_words_are_those_of_the_oracle(line: str) -> None:
    line = line.replace("\n", "")
    expected = _or_none(lambda text: tuple(oracle(text)), line)
    assert _or_none(words, line) == expected or (expected is None and "$" in line)


def _or_none(cut: Callable[[str], tuple[str, ...]], line: str) -> tuple[str, ...] | None:
    try:
        return cut(line)
    except (UnreadableLine, ValueError):
        return None


@given(ANYTHING, ANYTHING, VERSIONS)
def test_any_text_has_a_plan(old: str, new: str, version: tuple[int, ...]) -> None:
    _well_formed(plan(Files(old.encode()), Files(b"backend b\n" + new.encode()), version))
