"""Each function that makes a `Word`: what it takes, what it writes, what it refuses."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler import quoting
from compiler.errors import SystemFault
from compiler.quoting import Inexpressible, Word
from compiler.render import _finalize

TAKEN: list[tuple[Callable[..., Word], tuple[Any, ...], str]] = [
    (quoting.word, ("/images/",), "/images/"),
    (quoting.word, ("a&b",), "a&b"),
    (quoting.word, ("a b",), "'a b'"),
    (quoting.word, ("a#b",), "'a#b'"),
    (quoting.word, ("$HOME",), "'$HOME'"),
    (quoting.word, ('"',), "'\"'"),
    (quoting.word, ("'",), r"''\'''"),
    (quoting.word, ("it's",), r"'it'\''s'"),
    (quoting.word, ("\\",), r"'\'"),
    (quoting.word, ("{a}",), "'{a}'"),
    (quoting.word, ("é",), "'é'"),
    (quoting.word, ("\u2028",), "'\u2028'"),
    (quoting.pattern, ("a b'\\#",), "a b'\\#"),
    (quoting.pattern, ("# a ",), " # a "),
    (quoting.log_format, ("100%",), "100%%"),
    (quoting.log_format, ("%[src] %ci",), "'%%[src] %%ci'"),
    (quoting.fetch, ("req.hdr", "X-Key"), "'req.hdr(\"X-Key\")'"),
    (quoting.fetch, ("req.cook", "a'b"), "'req.cook(\"a'\\''b\")'"),
    (quoting.keyword, ("roundrobin",), "roundrobin"),
    (quoting.keyword, ("6f1f4c3e-0d5e-4b0f-9c53-2f1d8f0f7a11:a.b_c",), "6f1f4c3e-0d5e-4b0f-9c53-2f1d8f0f7a11:a.b_c"),
    (quoting.negated, ("abc",), "!abc"),
    (quoting.path, ("haproxy.cfg",), "haproxy.cfg"),
    (quoting.path, ("certs/6f1f-1.ca.pem",), "certs/6f1f-1.ca.pem"),
    (quoting.path, ("certs/6f1f.crt-list",), "certs/6f1f.crt-list"),
    (quoting.address, ("192.0.2.1",), "192.0.2.1"),
    (quoting.address, ("2001:db8::1",), "2001:db8::1"),
    (quoting.host, ("192.0.2.1",), "192.0.2.1"),
    (quoting.host, ("2001:db8::1",), "[2001:db8::1]"),
    (quoting.endpoint, ("192.0.2.1", 80), "192.0.2.1:80"),
    (quoting.endpoint, ("2001:db8::1", 80), "[2001:db8::1]:80"),
    (quoting.network, ("192.0.2.0/24",), "192.0.2.0/24"),
    (quoting.network, ("2001:db8::1",), "2001:db8::1/128"),
    (quoting.own, ("hash src,ipmask(24)",), "hash src,ipmask(24)"),
    (quoting.line, (), ""),
    (quoting.line, (Word("a"), Word("b c")), "a b c"),
    (quoting.listed, ([Word("a"), Word("b")],), "a, b"),
    (quoting.keepalived_word, ("/health?a=1&b=%20",), "/health?a=1&b=%20"),
    (quoting.seconds, (250,), "0.25"),
    (quoting.seconds, (1000,), "1"),
]


@pytest.mark.parametrize(("function", "arguments", "written"), TAKEN, ids=lambda value: getattr(value, "__name__", repr(value)))
def test_what_is_written(function: Callable[..., Word], arguments: tuple[Any, ...], written: str) -> None:
    made = function(*arguments)
    assert made == written
    assert type(made) is Word


REFUSED: list[tuple[Callable[..., Word], tuple[Any, ...]]] = [
    *((quoting.word, (text,)) for text in ("", "a\nb", "\r", "\x00", "\x1e", "\x7f", "\t", "\ud800", "a\udfff")),
    *((quoting.log_format, (text,)) for text in ("", "%\n", "\ud800")),
    *((quoting.pattern, (text,)) for text in ("", " a", "a\nb", "a\r", "\ud800", "a" * 8193, "é" * 4097)),
    *((quoting.fetch, ("req.hdr", text)) for text in ("", "a b", 'a"', "a)", "a,b", "a\\", "é", "a\n", "a:")),
    (quoting.fetch, ("req.hdr(x) ", "a")),
    *((quoting.keyword, (text,)) for text in ("", "a b", "-a", ".a", "a\n", "a#", "é", "a/b")),
    *((quoting.negated, (text,)) for text in ("", "!a", "a b", "a\n")),
    *((quoting.path, (text,)) for text in ("", "/etc/passwd", "../x.pem", "a//b.pem", "A.pem", "a b.pem", "a.pem\n", "a")),
    *((quoting.address, (text,)) for text in ("", "x", "192.0.2.1/24", "192.0.2.1\n", "fe80::1%a", "[::1]", "192.0.2.01")),
    *((quoting.host, (text,)) for text in ("x", "fe80::1%a\nb", "[::1]")),
    *((quoting.endpoint, (text, 80)) for text in ("", "x y", "fe80::1%a\nb", "192.0.2.1\n")),
    *((quoting.network, (text,)) for text in ("x", "192.0.2.1/24", "fe80::%a\nb/64", "192.0.2.0/24\n")),
    *((quoting.own, (text,)) for text in ("", "a'b", "a#", "a\n", "$a", "é")),
    *((quoting.keepalived_word, (text,)) for text in ("", "a b", "a#", "a!", "a\n", '"', "$x", "é", "{", "~")),
]


@pytest.mark.parametrize(("function", "arguments"), REFUSED, ids=lambda value: getattr(value, "__name__", repr(value)))
def test_what_is_refused(function: Callable[..., Word], arguments: tuple[Any, ...]) -> None:
    with pytest.raises(Inexpressible):
        function(*arguments)


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "empty"), ("ab\ncd", "'\\n' at position 3"), ("\x7f", "position 1"), ("a\ud800", "no character, at position 2")],
)
def test_the_reason_against_a_text_says_what_and_where(text: str, said: str) -> None:
    assert said in (quoting.reason_against(text) or "")


def test_a_line_takes_finished_words_only() -> None:
    for loose in ("a", Word("a") + "b", Word("a").upper(), f"{Word('a')}"):
        assert type(loose) is str
        with pytest.raises(TypeError):
            quoting.line(Word("x"), loose)  # type: ignore[arg-type]


def test_templates_take_words_and_numbers_only() -> None:
    assert _finalize(Word("a")) == "a"
    assert _finalize(5) == 5
    for loose in ("a", b"a", None, True, 1.5, ["a"], quoting.word):
        with pytest.raises(SystemFault):
            _finalize(loose)


@pytest.mark.parametrize("text", ["a\nb", "", "a b", "-a", "a'", "ä", "a\n"])
def test_among_many_keywords_one_that_is_none_is_found(text: str) -> None:
    assert quoting.keywords(["a", "b-c:d", "0"]) == ("a", "b-c:d", "0")
    with pytest.raises(quoting.Inexpressible):
        quoting.keywords(["a", text, "b"])


@pytest.mark.parametrize("address", ["192.0.2.1\n192.0.2.2", "", "192.0.2.1 id 5", "192.0.2.1%eth0", "web", "192.0.2.1'"])
def test_among_many_endpoints_one_that_is_none_is_found(address: str) -> None:
    assert quoting.endpoints(["192.0.2.1", "2001:db8::1"], [80, 81]) == ("192.0.2.1:80", "[2001:db8::1]:81")
    with pytest.raises(quoting.Inexpressible):
        quoting.endpoints(["192.0.2.1", address], [80, 81])


@given(st.lists(st.one_of(st.ip_addresses(v=4).map(str), st.text("0123456789.\n", max_size=16)), max_size=5))
def test_many_addresses_are_ipv4_where_each_is(texts: list[str]) -> None:
    def valid(text: str) -> bool:
        try:
            return str(ipaddress.IPv4Address(text)) == text
        except ValueError:
            return False

    assert quoting.are_ipv4(texts) == all(map(valid, texts))
    assert all(quoting.is_address(text) == valid(text) for text in texts)
