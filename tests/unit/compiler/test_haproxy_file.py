"""HAProxy's configuration file, as far as it is read: words, sections, what proxies inherit, servers with their options."""

from __future__ import annotations

import pytest

from compiler.haproxy_file import Proxy, UnreadableFile, read, settled
from compiler.haproxy_words import VARIABLE, UnreadableLine, words
from compiler.server_options import UnknownOption, options


class TestWords:
    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            ("", ()),
            ("  \t\r", ()),
            ("# a b", ()),
            ("  bind  *:80\t# all", ("bind", "*:80")),
            ("a b#c d", ("a", "b")),
            (r"a \#b", ("a", "#b")),
            (r"a\ b c", ("a b", "c")),
            (r'a "b c" d', ("a", "b c", "d")),
            (r"a 'b \" c' d", ("a", r"b \" c", "d")),
            (r'a "b \" c" d', ("a", 'b " c', "d")),
            (r"""a "it's" 'so "to" say'""", ("a", "it's", 'so "to" say')),
            ("a'b c'd e", ("ab cd", "e")),
            ('a "" b', ("a", "", "b")),
            (r"a \n\r\t\x41\q\\", ("a", "\n\r\tA\\q\\")),
            ("a b\\", ("a", "b\\")),
            ("a '#' \"#\" #", ("a", "#", "#")),
            ("caf\xe9\xa0au\x85lait", ("caf\xe9\xa0au\x85lait",)),
            ("a\x1cb c", ("a\x1cb", "c")),
            (r"'caf\xE9' \xE9", (r"caf\xE9", "\xe9")),
        ],
    )
    def test_of_a_line(self, line: str, expected: tuple[str, ...]) -> None:
        assert words(line) == expected

    @pytest.mark.parametrize("line", ["a 'b", 'a "b', r'a "b\"', r"a \x4", r"a \xgg"])
    def test_of_a_line_that_haproxy_refuses(self, line: str) -> None:
        with pytest.raises(UnreadableLine):
            words(line)

    def test_a_variable_is_kept_and_is_not_its_name(self) -> None:
        assert words('a "$HOME/x" "${B-c}" "${C[*]}"') == ("a", f"{VARIABLE}$HOME/x", f"{VARIABLE}${{B-c}}", f"{VARIABLE}${{C[*]}}")
        assert words('a $HOME \'$HOME\' "\\$HOME" "$"') == ("a", "$HOME", "$HOME", "$HOME", "$")
        assert words(r"a \$HOME") == ("a", r"\$HOME")


class TestFile:
    def test_proxies_inherit_from_the_defaults_before_them_or_from_those_that_they_name(self) -> None:
        text = (
            b"defaults one\n mode tcp\n default-server inter 2s\ndefaults\n mode http\nfrontend f\n bind :1\n"
            b"backend b from one\n server s 192.0.2.1:1 check\ndefaults two from one\n retries 2\nlisten l from two\n server s 192.0.2.1:1\n"
        )
        proxies = read(text).proxies
        assert proxies["frontend", "f"].inherited == (("mode", "http"),)
        assert proxies["backend", "b"].inherited == (("mode", "tcp"),)
        assert proxies["backend", "b"].servers["s"].defaults == ("inter", "2s")
        assert proxies["listen", "l"].inherited == (("mode", "tcp"), ("retries", "2"))
        assert proxies["listen", "l"].servers["s"].defaults == ("inter", "2s")

    def test_the_last_setting_counts_and_an_own_one_more_than_an_inherited_one(self) -> None:
        proxy = read(b"defaults\n maxconn 1\n mode tcp\nfrontend f\n maxconn 2\n maxconn 3\n").proxies["frontend", "f"]
        assert proxy.setting("maxconn") == ("3",)
        assert proxy.setting("mode") == ("tcp",)
        assert proxy.setting("balance") is None

    def test_default_server_is_for_the_servers_behind_it(self) -> None:
        servers = read(b"backend b\n server a 192.0.2.1:1\n default-server check\n server b 192.0.2.2:1\n").proxies["backend", "b"].servers
        assert [server.defaults for server in servers.values()] == [(), ("check",)]

    def test_sections_of_one_kind_and_name_are_one(self) -> None:
        text = b"global\n maxconn 1\npeers p\n peer a 192.0.2.1:1\nglobal\n daemon\npeers p\n peer b 192.0.2.2:1\n"
        sections = read(text).sections
        assert sections["global", ""] == (("maxconn", "1"), ("daemon",))
        assert sections["peers", "p"] == (("peer", "a", "192.0.2.1:1"), ("peer", "b", "192.0.2.2:1"))

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (b"maxconn 1\n", "line 1: 'maxconn' stands before any section"),
            (b"global\n log 'a\n", "line 2: a quote"),
            (b"global\n a \0\n", "line 2: a NUL"),
            (b"backend b\nbackend b\n", "line 2: a second backend 'b'"),
            (b"backend b\n server a x\n server a y\n", "line 3: a second server 'a'"),
            (b"backend b from d\n", "line 1: no defaults 'd'"),
            (b"backend b what\n", "line 1: 'what' behind"),
        ],
    )
    def test_what_cannot_be_read_is_told_with_its_line(self, text: bytes, message: str) -> None:
        with pytest.raises(UnreadableFile, match=message):
            read(text)

    @pytest.mark.parametrize("text", [b".if streq(a,a)\nglobal\n.endif\n", b"backend b\n server-template a 1-3 x:1\n"])
    def test_what_only_haproxy_resolves_is_fixed(self, text: bytes) -> None:
        assert read(text).fixed


class TestSettled:
    def test_settings_have_no_order_and_rules_have(self) -> None:
        one, rules = settled([("mode", "tcp"), ("timeout", "client", "1"), ("acl", "a"), ("timeout", "server", "2"), ("acl", "b")])
        other, others = settled([("acl", "a"), ("acl", "b"), ("timeout", "server", "2"), ("timeout", "client", "1"), ("mode", "tcp")])
        assert (one, rules) == (other, others)
        assert settled([("acl", "b"), ("acl", "a")]) != settled([("acl", "a"), ("acl", "b")])

    def test_the_last_of_a_setting_counts_also_when_it_takes_back(self) -> None:
        assert settled([("option", "httplog"), ("no", "option", "httplog")]) != settled([("option", "httplog")])
        assert settled([("mode", "tcp"), ("mode", "http")]) == settled([("mode", "http")])

    def test_every_bind_counts_and_their_order_does_not(self) -> None:
        assert settled([("bind", ":1"), ("bind", ":2")]) == settled([("bind", ":2"), ("bind", ":1")])
        assert settled([("bind", ":1"), ("bind", ":2")]) != settled([("bind", ":2")])

    def test_of_options_that_take_each_others_place_the_order_counts(self) -> None:
        assert settled([("option", "httpchk"), ("option", "tcp-check")]) != settled([("option", "tcp-check"), ("option", "httpchk")])


class TestOptions:
    @pytest.mark.parametrize(
        ("defaults", "own", "expected"),
        [
            ("check inter 2s", "inter 3s", {"check": (), "inter": ("3s",)}),
            ("check ssl backup disabled", "no-check no-ssl no-backup enabled weight 2", {"weight": ("2",)}),
            ("", "check-ssl verify none ssl verify required", {"check-ssl": (), "ssl": (), "verify": ("required",)}),
            ("no-tls-tickets", "tls-tickets no-tlsv10", {"no-tlsv10": ()}),
        ],
    )
    def test_own_ones_are_more_than_defaults(self, defaults: str, own: str, expected: dict[str, tuple[str, ...]]) -> None:
        assert options(defaults.split(), own.split()) == expected

    @pytest.mark.parametrize("own", ["source 192.0.2.1 usesrc client", "no-such", "weight"])
    def test_what_is_not_known_is_told(self, own: str) -> None:
        with pytest.raises(UnknownOption):
            options([], own.split())


def test_a_proxy_is_called_as_in_the_file() -> None:
    assert Proxy("backend", "b", (), (), {}).title == "backend b"
