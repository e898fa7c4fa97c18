"""Two configurations → what it takes. Which commands really do it is seen in `tests/real/test_runtime_changes.py`."""

from __future__ import annotations

from typing import Any

import pytest

from compiler.changes import Command, Commands, NoOp, Plan, Reason, Reload, Restart
from compiler.plan import Files, plan, servers_alone
from hydria.lab.certificates import Authority

PREAMBLE = "global\n maxconn 1000\n stats socket /run/s level admin\ndefaults\n mode http\n timeout client 5s\n"
VERSION = (2, 8, 25)
AUTHORITY = Authority()
PEM = {name: AUTHORITY.server(f"{name}.example").bundle_pem for name in ("a", "b", "c")}


def text(*lines: str, servers: tuple[str, ...] = ("a 192.0.2.1:80 id 1", "b 192.0.2.2:80 id 2")) -> Files:
    body = "".join(f" {line}\n" for line in (*lines, *(f"server {server}" for server in servers)))
    return Files(f"{PREAMBLE}frontend web\n bind :80\n maxconn 10\n default_backend pool\nbackend pool\n{body}".encode())


def said(made: Plan) -> list[str]:
    assert isinstance(made, Commands), made
    return [str(command) for command in made.commands]


def reasons(made: Plan) -> list[str]:
    assert isinstance(made, Reload | Restart), made
    return [str(reason) for reason in made.reasons]


class TestNothing:
    def test_the_same_is_nothing(self) -> None:
        assert plan(text(), text(), VERSION) == NoOp()

    def test_comments_blanks_quotes_and_order_are_nothing(self) -> None:
        other = text("timeout  'server' 5s # so long", "balance roundrobin", servers=("b 192.0.2.2:80 id 2", "a 192.0.2.1:80 id 1"))
        assert plan(text("balance roundrobin", "timeout server 5s"), other, VERSION) == NoOp()

    def test_defaults_for_servers_that_are_not_there_are_nothing(self) -> None:
        assert plan(text(servers=()), text("default-server check inter 2s", servers=()), VERSION) == NoOp()

    def test_how_to_check_may_go_where_nothing_is_checked(self) -> None:
        checked = text("option httpchk", "timeout check 5s", "http-check expect status 200", servers=())
        assert plan(checked, text(servers=()), VERSION) == NoOp()

    def test_what_only_a_start_looks_at_waits_for_one(self) -> None:
        old, new = (Files(text().configuration.replace(b"stats", f"tune.ssl.cachesize {size}\n stats".encode())) for size in (1, 2))
        made = plan(old, new, VERSION)
        assert isinstance(made, NoOp)
        assert [(reason.object, reason.field) for reason in made.later] == [("global", "tune.ssl.cachesize")]


class TestChecks:
    """Servers that come by a command are checked as the process knows, so it must know in time."""

    @pytest.mark.parametrize(
        "line", ["option httpchk", "timeout check 5s", "http-check expect status 200", "external-check command /bin/true"]
    )
    def test_how_to_check_comes_by_a_reload_where_nothing_is_checked_yet(self, line: str) -> None:
        assert isinstance(plan(text(servers=()), text(line, "default-server check", servers=()), VERSION), Reload)

    def test_another_way_to_check_does_too(self) -> None:
        old, new = (text("option httpchk", f"http-check expect status {status}", servers=()) for status in (200, 404))
        assert isinstance(plan(old, new, VERSION), Reload)


class TestServersAlone:
    def test_they_come_go_and_change(self) -> None:
        assert servers_alone(text(), text(servers=("b 192.0.2.2:80 id 2 weight 5", "c 192.0.2.3:80 id 3")))
        assert servers_alone(text(), text(servers=()))

    def test_anything_else_is_more(self) -> None:
        assert not servers_alone(text(), text("timeout server 5s"))
        assert not servers_alone(text(), Files(text().configuration.replace(b"maxconn 1000", b"maxconn 999")))
        assert not servers_alone(text(), Files(text().configuration.replace(b"backend pool", b"backend other")))
        assert not servers_alone(text(), Files(text().configuration, {"list": b"a"}))

    def test_of_a_text_with_conditions_nobody_knows(self) -> None:
        conditional = text(".if defined(X)", ".endif")
        assert not servers_alone(conditional, conditional)


class TestServers:
    def test_new_ones_serve_before_old_ones_go(self) -> None:
        new = text("balance roundrobin", servers=("b 192.0.2.2:80 id 2", "c 192.0.2.3:80 id 3 weight 5 check inter 2s"))
        assert said(plan(text("balance roundrobin"), new, VERSION)) == [
            "add server pool/c 192.0.2.3:80 id 3 weight 5 check inter 2s",
            "enable health pool/c",
            "set server pool/c state ready",
            "set server pool/a state maint",
            "del server pool/a",
        ]

    def test_an_added_one_is_told_what_default_server_says(self) -> None:
        before = "default-server check inter 2s"
        new = text(before, servers=("a 192.0.2.1:80 id 1", "b 192.0.2.2:80 id 2", "c [2001:db8::3]:80 no-check disabled weight 3"))
        assert said(plan(text(before), new, VERSION)) == ["add server pool/c [2001:db8::3]:80 inter 2s weight 3"]

    def test_what_changes_of_one_is_told_at_once(self) -> None:
        new = text(servers=("a 192.0.2.9:81 id 1 weight 7 disabled", "b 192.0.2.2:80 id 2"))
        assert said(plan(text(), new, VERSION)) == [
            "set server pool/a addr 192.0.2.9 port 81",
            "set server pool/a weight 7",
            "set server pool/a state maint",
        ]

    def test_many_with_one_reason_are_one_reason(self) -> None:
        old, new = (text(f"default-server check inter {inter}") for inter in ("2s", "3s"))
        assert reasons(plan(old, new, VERSION)) == [
            "backend pool, server a and 1 more: inter: 2s becomes 3s; of a server that runs, only its address, weight and state can change"
        ]

    @pytest.mark.parametrize("address", ["name:80", "192.0.2.3", "192.0.2.3:+1", "unix@/x", ":80", "ipv4@192.0.2.3:80", "192.0.2.3:http"])
    def test_only_an_address_with_a_port_can_be_told(self, address: str) -> None:
        assert "address" in reasons(plan(text(), text(servers=("a 192.0.2.1:80 id 1", f"b {address} id 2")), VERSION))[0]
        added = text(servers=("a 192.0.2.1:80 id 1", "b 192.0.2.2:80 id 2", f"c {address} id 3"))
        assert "address" in reasons(plan(text(), added, VERSION))[0]

    @pytest.mark.parametrize("sni", ["'str(a b)'", "'a;b'", '"$HOME"', "caf\xe9", "a{b}", "'<<'", r"a\\b"])
    def test_what_the_socket_would_cut_otherwise_is_not_told(self, sni: str) -> None:
        new = text(servers=("a 192.0.2.1:80 id 1", "b 192.0.2.2:80 id 2", f"c 192.0.2.3:80 id 3 ssl verify none sni {sni}"))
        assert "characters that the socket cannot be told" in reasons(plan(text(), new, VERSION))[0]

    @pytest.mark.parametrize(
        ("lines", "servers", "word"),
        [
            (("balance first",), ("a 192.0.2.1:80", "b 192.0.2.2:80"), "ids"),
            (("balance random(2)",), ("a 192.0.2.1:80", "b 192.0.2.2:80"), "ids"),
            (("balance uri", "hash-type map-based"), ("a 192.0.2.1:80 id 1", "b 192.0.2.2:80 id 2"), "static"),
            (("balance something-new",), ("a 192.0.2.1:80 id 1", "b 192.0.2.2:80 id 2"), "static"),
            ((), ("a 192.0.2.1:80 id 1", "b 192.0.2.2:80 id 2 source 192.0.2.9"), "not known"),
            ((), ("a 192.0.2.1:80 id 1", "b 192.0.2.2:80 id 2 agent-check agent-port 9"), "does not take this"),
        ],
    )
    def test_what_an_added_one_would_not_have_is_a_reload(self, lines: tuple[str, ...], servers: tuple[str, ...], word: str) -> None:
        assert word in reasons(plan(text(*lines, servers=servers[:1]), text(*lines, servers=servers), VERSION))[0]

    def test_what_is_not_known_and_has_not_changed_is_no_matter(self) -> None:
        servers = ("a 192.0.2.1:80 source 192.0.2.9", "b 192.0.2.2:80 id 2")
        new = (servers[0], "b 192.0.2.2:80 id 2 weight 3")
        assert said(plan(text(servers=servers), text(servers=new), VERSION)) == ["set server pool/b weight 3"]


class TestLines:
    def test_each_difference_is_a_reason(self) -> None:
        old = text("timeout server 5s", "http-request deny if { path /a }", "option forwardfor")
        new = text("timeout server 6s", "http-request deny if { path /b }", "option httplog")
        assert reasons(plan(old, new, VERSION)) == [
            "backend pool: timeout server: `timeout server 5s` becomes `timeout server 6s`",
            "backend pool: option forwardfor: `option forwardfor` is gone",
            "backend pool: log-format: `option httplog` is new",
            "backend pool: http-request: `http-request deny if { path /a }` is gone",
            "backend pool: http-request: `http-request deny if { path /b }` is new",
        ]

    def test_the_order_of_rules_counts(self) -> None:
        rules = ("http-request deny if { path /a }", "http-request allow")
        assert reasons(plan(text(*rules), text(*rules[::-1]), VERSION)) == ["backend pool: rules: their order has changed"]

    def test_secrets_are_not_told(self) -> None:
        told = reasons(plan(text("stats auth me:hunter2", "dynamic-cookie-key hunter2"), text("dynamic-cookie-key hunter3"), VERSION))
        assert "hunter" not in str(told)
        assert len(told) == 2

    def test_what_the_master_keeps_is_a_restart(self) -> None:
        new = Files(text("timeout server 1s").configuration.replace(b"stats", b"setenv A b\n stats"))
        made = plan(text(), new, VERSION)
        assert isinstance(made, Restart)
        assert made.reasons == (
            Reason("global", "setenv", "`setenv A b` is new"),
            Reason("backend pool", "timeout server", "`timeout server 1s` is new"),
        )

    def test_what_cannot_be_read_is_a_reload(self) -> None:
        assert "cannot be read: line 1" in reasons(plan(text(), Files(b"bogus\n"), VERSION))[0]

    def test_of_conditions_only_haproxy_knows_what_they_say(self) -> None:
        conditional = [Files(text().configuration + f".if {which}\n.endif\n".encode()) for which in ("true", "false", "true #")]
        assert "conditions" in reasons(plan(conditional[0], conditional[1], VERSION))[0]
        assert plan(conditional[0], conditional[2], VERSION) == NoOp()

    def test_parts_of_a_frontends_limit_are_not_told_at_run_time(self) -> None:
        old = text(servers=("a 192.0.2.1:80 id 1 minconn 1 maxconn 5",))
        new = Files(old.configuration.replace(b"maxconn 10\n", b"maxconn 20\n"))
        assert "minconn" in reasons(plan(old, new, VERSION))[0]


class TestFiles:
    def files(self, crt_list: bytes, line: str = "bind :443 ssl crt-list l", **contents: bytes) -> Files:
        more = {"l": crt_list, **PEM, **contents}
        return Files(f"{PREAMBLE}frontend web\n {line}\n".encode(), more)

    def test_a_crt_list_that_only_looks_otherwise_is_nothing(self) -> None:
        assert plan(self.files(b"a\nb\n"), self.files(b"# all\n\na\n  b # two\n"), VERSION) == NoOp()

    def test_pem_that_only_looks_otherwise_is_nothing(self) -> None:
        assert plan(self.files(b"a\n"), self.files(b"a\n", a=PEM["a"].replace(b"\n", b"\r\n\n")), VERSION) == NoOp()

    def test_a_payload_has_no_empty_line(self) -> None:
        made = plan(self.files(b"a\nb\n"), self.files(b"a\nb\n", b=b"\n\n" + PEM["c"].replace(b"-\n-", b"-\n\n-")), VERSION)
        assert isinstance(made, Commands)
        payload = made.commands[0].payload or b""
        assert payload.startswith(b"-----BEGIN")
        assert b"\n\n" not in payload
        assert "BEGIN" not in repr(made)

    @pytest.mark.parametrize(
        ("old", "new", "word"),
        [
            (b"a x.example\nb y.example\n", b"a x.example\nb [alpn h2] y.example\n", "more than names"),
            (b"a x.example\nb !y.example\n", b"a x.example\n", "more than names"),
            (b"a x.example\n", b"a y.example\n", "default certificate"),
            (b"a\nb y.example\nc y.example\n", b"a\nc y.example\nb y.example\n", "order"),
            (b"a x.example\nc y.example\n", b"a x.example\nb y.example\nc y.example\n", "order"),
            (b"a x.example\nd y.example\n", b"a x.example\ne y.example\n", "is not known"),
            (b"a x.example\n", b"a x.example\nb y.example\nb z.example\n", None),
            (b"a x.example\nb x.example\nb y.example\n", b"a x.example\nb y.example\nb x.example\nb z.example\n", "more than once"),
        ],
    )
    def test_a_crt_list_that_commands_would_not_make_the_same(self, old: bytes, new: bytes, word: str | None) -> None:
        made = plan(self.files(old), self.files(new), VERSION)
        if word is None:
            assert isinstance(made, Commands)
        else:
            assert word in reasons(made)[0]

    def test_a_certificate_whose_name_another_has_too(self) -> None:
        made = plan(self.files(b"a\nb x.example\nc x.example\n"), self.files(b"a\nb x.example\nc x.example\n", b=PEM["a"]), VERSION)
        assert "another certificate in l" in reasons(made)[0]

    @pytest.mark.parametrize(
        ("line", "changed", "word"),
        [
            ("bind :443 ssl crt a", {"a": b"bogus"}, "cannot be read"),
            ("errorfile 503 a", {"a": b"bogus"}, "only when it loads"),
            ("use_backend %[path,map(a)]", {"a": b"bogus"}, "only when it loads"),
            ("bind :443 ssl crt a ca-file a", {"a": PEM["b"]}, "only when it loads"),
        ],
    )
    def test_what_no_command_can_replace(self, line: str, changed: dict[str, Any], word: str) -> None:
        assert word in reasons(plan(self.files(b"", line), self.files(b"", line, **changed), VERSION))[0]

    def test_what_nobody_names_is_nothing(self) -> None:
        assert plan(self.files(b"a\n"), self.files(b"a\n", other=b"x"), VERSION) == NoOp()
        assert plan(self.files(b"a\n"), self.files(b"a\n", b=b"x"), VERSION) == NoOp()

    def test_a_file_that_is_known_once_only(self) -> None:
        known, unknown = self.files(b"a\n"), Files(self.files(b"a\n").configuration, {"l": b"a\n"})
        assert reasons(plan(known, unknown, VERSION)) == ["a: content: is known of one of the two only"]
        assert unknown.missing() == {"a"}
        assert Files(unknown.configuration).missing() == {"l"}

    def test_names_below_a_base_are_not_told(self) -> None:
        old, new = (
            Files(files.configuration.replace(b"maxconn", b"crt-base /x\n maxconn"), files.contents)
            for files in (self.files(b"a\n"), self.files(b"a\n", a=PEM["b"]))
        )
        assert "cannot be told the name" in reasons(plan(old, new, VERSION))[0]

    def test_a_larger_buffer_takes_larger_files(self) -> None:
        line = "bind :443 ssl crt a ca-file ca"
        old, new = (self.files(b"", line, ca=AUTHORITY.certificate_pem * times) for times in (1, 40))
        assert "tune.bufsize" in reasons(plan(old, new, VERSION))[0]
        larger = [Files(each.configuration.replace(b"maxconn", b"tune.bufsize 65536\n maxconn", 1), each.contents) for each in (old, new)]
        assert said(plan(larger[0], larger[1], VERSION))[1] == "commit ssl ca-file ca"

    def test_patterns_are_escaped_for_the_socket(self) -> None:
        line = "http-request deny if { path -f a }"
        assert plan(self.files(b"", line, a=b"/x\n"), self.files(b"", line, a=b"#c\n\n  /x\n/x\r\n"), VERSION) == NoOp()
        for pattern, escaped in {
            "/a b ": r"/a\ b\ ",
            "/a;b": r"/a\;b",
            " #@1": r"\#\@1",
            "{version}": r"\{version\}",
            "é<<": r"é\<\<",
        }.items():
            made = plan(self.files(b"", line, a=b"/x\n"), self.files(b"", line, a=f"{pattern}\n".encode()), VERSION)
            assert said(made) == ["prepare acl a", f"add acl @{{version}} a {escaped}", "commit acl @{version} a"]

    @pytest.mark.parametrize("pattern", [b"a\x0bb", b"a" * 16384, b"\xff"], ids=["control", "long", "not UTF-8"])
    def test_patterns_that_the_socket_cannot_be_told(self, pattern: bytes) -> None:
        line = "http-request deny if { path -f a }"
        [reason] = reasons(plan(self.files(b"", line, a=b"/x\n"), self.files(b"", line, a=pattern + b"\n"), VERSION))
        assert reason.startswith("a: content: ")

    def test_two_lists_of_one_proxy_do_not_change_one_after_the_other(self) -> None:
        line = "http-request deny if { path -f a } { src -f ca }"
        old, one, both = (
            self.files(b"", line, a=path, ca=networks) for path, networks in ((b"/x", b"::1"), (b"/y", b"::1"), (b"/y", b"::2"))
        )
        assert said(plan(old, one, VERSION))[1] == "add acl @{version} a /y"
        assert ["several lists" in reason for reason in reasons(plan(old, both, VERSION))] == [True]
        assert plan(old, self.files(b"", line, a=b"/x\n", ca=b"::1\n"), VERSION) == NoOp()


def test_a_command_shows_no_payload() -> None:
    command = Command(text="set ssl cert a", object="a", field="content", payload=b"secret\n")
    assert "secret" not in repr(command) + str(command)
