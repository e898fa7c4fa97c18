"""Strings that mean something to HAProxy's configuration language arrive at its rules as what they are: text.

The four faults of Octavia's own rendering are here by name; none of them may come back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.graphs import listener, path_is, policy, pool, rule
from support.serving import serve

from hydria.lab.backends import HttpBackend

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.serving import Serving

    from agent.haproxy import Haproxy

pytestmark = pytest.mark.third_haproxy

#: Values for a rule, each with one that it must not be taken for.
VALUES = {
    "option -i": ("-i", "-I"),
    "option -n": ("-n", "n"),
    "option -f": ("-f/etc/passwd", "root:x:0:0:root:/root:/bin/bash"),
    "option -m": ("-m reg .*", "anything"),
    "option -- ": ("--", "-"),
    "two words after --": ("-- x", "x"),
    "double quote": ('say "hi"', "say hi"),
    "unpaired double quote": ('"', "'"),
    "single quote": ("it's", "its"),
    "unpaired single quotes": ("'''", ""),
    "both quotes": ("\"'\"'", "''"),
    "variable": ("$HOME", "/root"),
    "variable in braces": ("${HOME}", "/root"),
    "quoted variable": ('"$HOME"', "/root"),
    "sample expression": ("%[src]", "127.0.0.1"),
    "percent": ("100%", "100"),
    "percent escapes": ("%41%%", "A%"),
    "log variable": ("%ci", "127.0.0.1"),
    "backslash": (r"a\b", "ab"),
    "trailing backslash": ("end\\", "end"),
    "escaped blank": (r"a\ b", "a b"),
    "escapes": (r"\x41\n\t", "A"),
    "blanks": ("a  b   c", "a b c"),
    "hash": ("admin#x", "admin"),
    "hash after a blank": ("admin #x", "admin"),
    "entities": ("a&b<c>", "a&amp;b&lt;c&gt;"),
    "braces": ("{ a } }", "a"),
    "or": ("a || b", "b"),
    "not": ("!a", "b"),
    "comma and brackets": ("a,b(c),d", "a"),
    "semicolon": ("a;b", "a"),
    "not ASCII": ("Grüße 日本", "Gre"),
}

QUOTED_NAMES = [pytest.param(name, id=name.replace(" ", "-")) for name in VALUES]

#: Redirects that must arrive as they are.
URLS = {
    "query": "https://x.example/?a=1&b=2",
    "percent": "https://x.example/100%25/%41?%[src]=%ci",
    "variable": "https://x.example/$HOME/${HOME}",
    "quotes": "https://x.example/?q='\"'",
    "hash": "https://x.example/#top",
    "backslash": "https://x.example/\\",
    "comma": "https://x.example/a,b(c);d|e",
}


@pytest.fixture(scope="module")
def serving(haproxy: Haproxy) -> Iterator[Serving]:
    by_header = [
        policy("REDIRECT_TO_URL", rule("HEADER", "EQUAL_TO", value, key="X-Value"), redirect_url=f"http://m.example/{number}")
        for number, (value, _) in enumerate(VALUES.values())
    ]
    by_url = [policy("REDIRECT_TO_URL", path_is(f"/{name}"), redirect_url=url) for name, url in URLS.items()]
    by_prefix = [policy("REDIRECT_PREFIX", path_is(f"/{name}"), redirect_prefix=url) for name, url in URLS.items()]
    faults = [
        policy("REDIRECT_TO_URL", path_is("/a&b"), redirect_url="http://m.example/ampersand"),
        policy("REJECT", rule("PATH", "STARTS_WITH", "/admin#x")),
        policy("REDIRECT_TO_URL", path_is("/url"), redirect_url="https://x.example/?a=1&b=2"),
        policy("REDIRECT_TO_URL", rule("PATH", "EQUAL_TO", "/a\"b'c\\d$HOME%[src]"), redirect_url="http://m.example/path"),
        policy("REJECT", rule("HEADER", "STARTS_WITH", "admin#x", key="X-Who")),
    ]
    patterns = [
        policy("REDIRECT_TO_URL", rule("HEADER", "REGEX", r"^-i +\"\d{2}\"\\'#$", key="X-Value"), redirect_url="http://m.example/regex"),
        policy("REDIRECT_TO_URL", rule("COOKIE", "EQUAL_TO", "-i'$HOME#\\", key="c-d_e"), redirect_url="http://m.example/cookie"),
        policy("REDIRECT_TO_URL", rule("HEADER", "CONTAINS", " -f ", key="X-Value"), redirect_url="http://m.example/contains"),
    ]
    named = [
        policy("REJECT", path_is("/named"), name='x\n  http-request deny"', description="'#\\"),
    ]
    with HttpBackend("default") as backend:
        described = pool("default", {**_member(backend), "name": "a\nserver evil 127.0.0.1:1 #"}, description="\n\n")
        listeners = [
            listener("values", "default", *by_header),
            listener("urls", "default", *by_url),
            listener("prefixes", "default", *by_prefix),
            listener("faults", "default", *faults),
            listener("patterns", "default", *patterns),
            listener("named", "default", *named, description="x\n    http-request deny"),
        ]
        with serve(haproxy, listeners, [described]) as serving:
            yield serving


def _member(backend: HttpBackend) -> dict[str, object]:
    return {"address": backend.address, "protocol_port": backend.port}


@pytest.mark.parametrize("name", QUOTED_NAMES)
def test_a_value_matches_itself_and_nothing_that_it_could_be_misread_as(serving: Serving, name: str) -> None:
    value, other = VALUES[name]
    number = list(VALUES).index(name)
    assert serving.fetch("values", headers={"X-Value": value}).location == f"http://m.example/{number}"
    assert serving.fetch("values", headers={"X-Value": other}).location != f"http://m.example/{number}"


@pytest.mark.parametrize("name", list(URLS))
def test_a_redirect_url_arrives_as_it_is(serving: Serving, name: str) -> None:
    assert serving.fetch("urls", f"/{name}").location == URLS[name]


@pytest.mark.parametrize("name", list(URLS))
def test_a_redirect_prefix_arrives_as_it_is(serving: Serving, name: str) -> None:
    assert serving.fetch("prefixes", f"/{name}").location == f"{URLS[name]}/{name}"


def test_fault_1_the_path_with_an_ampersand_matches(serving: Serving) -> None:
    assert serving.fetch("faults", "/a&b").location == "http://m.example/ampersand"
    assert serving.fetch("faults", "/a&amp;b").name == "default"


def test_fault_2_a_hash_does_not_cut_the_value_off(serving: Serving) -> None:
    """HAProxy refuses a request whose path really holds a hash (400), so that the whole value can match is shown on a header."""
    for target in ("/admin", "/admin-anything", "/admin%23x", "/adminx"):
        assert serving.fetch("faults", target).name == "default", target
    assert serving.fetch("faults", "/admin#x").status in {400, 403}
    assert serving.fetch("faults", headers={"X-Who": "admin#xyz"}).status == 403
    assert serving.fetch("faults", headers={"X-Who": "admin-anything"}).name == "default"


def test_fault_3_the_query_of_a_redirect_keeps_its_ampersand(serving: Serving) -> None:
    assert serving.fetch("faults", "/url").location == "https://x.example/?a=1&b=2"


def test_fault_4_a_value_that_begins_with_a_hyphen_is_a_value(serving: Serving) -> None:
    for number, (value, _) in enumerate(VALUES.values()):
        if value.startswith("-"):
            assert serving.fetch("values", headers={"X-Value": value}).location == f"http://m.example/{number}", value
    assert serving.fetch("values", headers={"X-Value": "anything else"}).name == "default"


def test_a_path_full_of_special_characters_matches(serving: Serving) -> None:
    assert serving.fetch("faults", "/a\"b'c\\d$HOME%[src]").location == "http://m.example/path"
    assert serving.fetch("faults", "/abcd/root127.0.0.1").name == "default"


def test_a_regular_expression_full_of_special_characters_matches(serving: Serving) -> None:
    assert serving.fetch("patterns", headers={"X-Value": '-i   "42"\\\'#'}).location == "http://m.example/regex"
    assert serving.fetch("patterns", headers={"X-Value": "-i 42"}).name == "default"


def test_a_cookie_full_of_special_characters_matches(serving: Serving) -> None:
    assert serving.fetch("patterns", headers={"Cookie": "x=1; c-d_e=-i'$HOME#\\"}).location == "http://m.example/cookie"


def test_blanks_at_the_ends_of_a_value_belong_to_it(serving: Serving) -> None:
    assert serving.fetch("patterns", headers={"X-Value": "a -f b"}).location == "http://m.example/contains"
    assert serving.fetch("patterns", headers={"X-Value": "a-fb"}).name == "default"


def test_names_and_descriptions_cannot_become_configuration(serving: Serving) -> None:
    assert serving.fetch("named", "/named").status == 403
    answer = serving.fetch("named", "/other")
    assert (answer.status, answer.name) == (200, "default")
