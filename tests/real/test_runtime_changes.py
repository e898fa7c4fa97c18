"""Every kind of change on every installed HAProxy: by commands or by a reload, as the plan says; and what commands made of what ran is what a
start with the new file makes.
"""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from support.changing import running
from support.polling import eventually

from agent.errors import CommandRefused
from compiler.changes import Command, Commands, NoOp, Reload, Restart, ServerGone
from compiler.plan import Files, plan
from compiler.server_states import kept
from compiler.target import Feature, has
from hydria.lab.backends import HttpBackend
from hydria.lab.certificates import Authority, Certificate
from hydria.lab.client import Connection, fetch
from hydria.lab.ports import HeldPort

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.changing import Running

    from agent.haproxy import Haproxy

pytestmark = pytest.mark.third_haproxy

Part = dict[str, Any]

#: Seconds that servers which go are given for their connections.
PATIENCE = 5.0


class World:
    """What is around the HAProxy: members, a port, an authority; and certificates that were issued one after the other."""

    def __init__(self) -> None:
        self.authority, self.other = Authority("first"), Authority("second")
        self.members = {name: HttpBackend(name) for name in "abcd"}
        self.secure = {name: HttpBackend(name, tls=self.authority.server("member.example").server_context()) for name in "stu"}
        self.port = HeldPort()
        self.clients = {
            "good": self.authority.client("good"),
            "bad": self.authority.client("bad"),
            "stranger": self.other.client("stranger"),
        }
        names = {"one": ("one.example",), "renewed": ("one.example",), "two": ("two.example", "*.two.example"), "three": ("three.example",)}
        self.made = {
            "ca first": self.authority.certificate_pem,
            "ca both": self.authority.certificate_pem + self.other.certificate_pem,
            "crl none": self.authority.crl(),
            "crl bad": self.authority.crl(self.clients["bad"]),
        }
        self.certificates: dict[str, Certificate] = {name: self.authority.server(*of) for name, of in names.items()}

    def close(self) -> None:
        for member in (*self.members.values(), *self.secure.values()):
            member.close()
        self.port.close()

    def files(self, described: Part) -> Files:
        """The configuration of these parts."""
        addresses = {name: f"{member.address}:{member.port}" for name, member in (self.members | self.secure).items()}
        ports = {f"{name}_port": member.port for name, member in (self.members | self.secure).items()}
        bind = f"127.0.0.1:{self.port.port} {described['bind']}"
        lines = [
            *("global", "default-path config", "stats socket @run@/lb.sock mode 600 level admin", *described["global"]),
            *("defaults", "mode http", "timeout connect 5s", "timeout client 5s", "timeout server 5s", *described["defaults"]),
            *("frontend web", f"bind {bind}", *described["frontend"], "default_backend pool"),
            *("backend pool", *described["backend"]),
            *(f"server {name} {options}" for name, options in described["servers"].items()),
            *described["more"],
        ]
        text = "".join(f"{line.format(**addresses, **ports) if line.startswith('server ') else line}\n" for line in lines)
        contents = {path: self._content(content) for path, content in described["files"].items()}
        return Files(text.encode(), contents)

    def _content(self, content: bytes | str) -> bytes:
        if isinstance(content, bytes):
            return content
        return self.made[content] if content in self.made else self.certificates[content].bundle_pem

    def seen(self, described: Part) -> dict[Any, Any]:
        """What clients see."""
        address = ("127.0.0.1", self.port.port)
        if not described["bind"]:
            answers = [fetch(address, source=f"127.0.0.{2 + number}", patience=20) for number in range(40)]
            if "hash-type consistent" in described["backend"]:
                return {"who": [answer.name for answer in answers]}
            cookies = {(answer.name, answer.header("Set-Cookie")) for answer in answers}
            kept = {(name, fetch(address, headers={"Cookie": cookie.split(";")[0]}).name) for name, cookie in cookies if cookie}
            return {
                "statuses": Counter(answer.status for answer in answers),
                "who": {answer.name for answer in answers},
                "kept": kept,
                "cookies": cookies,
            }
        shown: dict[Any, Any] = {}
        for name in ("one.example", "two.example", "a.two.example", "three.example", "nobody.example"):
            for client in (None, *self.clients):
                certificate = self.clients[client] if client else None
                context = self.authority.client_context(certificate=certificate)
                try:
                    shown[name, client] = fetch(address, tls=context, server_name=name).certificate
                except OSError:
                    shown[name, client] = b"refused"
        return shown


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


PLAIN: Part = {
    "global": ["maxconn 1000"],
    "defaults": [],
    "bind": "",
    "frontend": ["maxconn 100"],
    "backend": ["balance roundrobin"],
    "servers": {"a": "{a} id 11 weight 10", "b": "{b} id 12 weight 20"},
    "more": [],
    "files": {},
}
CHECKED: Part = {
    **PLAIN,
    "backend": [
        "balance roundrobin",
        "option httpchk",
        "http-check send meth GET uri /",
        "http-check expect status 200",
        "timeout check 3s",
        "default-server check inter 60s fall 3 rise 2",
    ],
}
HASHED: Part = {**PLAIN, "backend": ["balance source", "hash-type consistent"]}
SECURE: Part = {
    **PLAIN,
    "backend": ["balance leastconn", "default-server ssl verify required ca-file certs/ca.pem sni str(member.example) ssl-min-ver TLSv1.2"],
    "servers": {"s": "{s} id 11", "t": "{t} id 12"},
    "files": {"certs/ca.pem": "ca first"},
}
TLS: Part = {
    **PLAIN,
    "bind": "ssl crt-list certs/web.crt-list ca-file certs/ca.pem crl-file certs/crl.pem verify optional",
    "files": {
        "certs/web.crt-list": b"certs/one.pem one.example\ncerts/two.pem two.example *.two.example\n",
        "certs/one.pem": "one",
        "certs/two.pem": "two",
        "certs/ca.pem": "ca first",
        "certs/crl.pem": "crl none",
    },
}
LISTED: Part = {
    **PLAIN,
    "frontend": ["tcp-request connection reject unless { src -f lists/allowed }"],
    "files": {"lists/allowed": b"127.0.0.0/16\n192.0.2.0/24\n"},
}
RULED: Part = {
    **PLAIN,
    "frontend": ["acl one path -m beg -f lists/one", "acl two path -i -m reg -f lists/two", "http-request deny if one !two"],
    "files": {"lists/one": b"/x\n", "lists/two": b"^/y$\n"},
}
OCTAVIA: Part = {
    **PLAIN,
    "global": ["maxconn 1000", "server-state-file /var/lib/x", "tune.ssl.cachesize 30000"],
    "backend": ["balance roundrobin", "load-server-state-from-file global", "timeout check 5s", "fullconn 100", "option allbackups"],
    "servers": {"a": "{a} weight 10 check inter 60s fall 3 rise 2", "b": "{b} weight 1 check inter 60s fall 3 rise 2"},
}
COOKIES: Part = {
    **PLAIN,
    "backend": ["balance roundrobin", "cookie SRV insert indirect nocache"],
    "servers": {"a": "{a} cookie a", "b": "{b} cookie b"},
}
DYNAMIC_COOKIES: Part = {**PLAIN, "backend": ["balance roundrobin", "cookie SRV insert indirect nocache dynamic", "dynamic-cookie-key k"]}


def servers(part: Part, **changed: str | None) -> Part:
    """With these servers instead of those of their names; None for none."""
    merged = {**part["servers"], **changed}
    return {**part, "servers": {name: options for name, options in merged.items() if options is not None}}


def files(part: Part, **changed: Any) -> Part:
    """With these contents; the names without directory, `_` for what is no letter."""
    known = {
        "allowed": "lists/allowed",
        **{f"list_{name}": f"lists/{name}" for name in ("one", "two")},
        "web": "certs/web.crt-list",
        **{name: f"certs/{name}.pem" for name in ("one", "two", "three", "ca", "crl")},
    }
    merged = {**part["files"], **{known[name]: content for name, content in changed.items()}}
    return {**part, "files": {name: content for name, content in merged.items() if content is not None}}


class Kind(NamedTuple):
    """A kind of change. `way`: what it takes; a reload with a HAProxy that has not the feature that it `needs`."""

    old: Part
    new: Part
    way: type
    needs: Feature | None = None


KINDS: dict[str, Kind] = {
    "member added": Kind(PLAIN, servers(PLAIN, c="{c} id 13 weight 30"), Commands),
    "member added in the middle": Kind(PLAIN, {**PLAIN, "servers": {"c": "{c} id 13", **PLAIN["servers"]}}, Commands),
    "first member added": Kind({**PLAIN, "servers": {}}, PLAIN, Commands),
    "last member removed": Kind(PLAIN, {**PLAIN, "servers": {}}, Commands),
    "member added, checked": Kind(CHECKED, servers(CHECKED, c="{c} id 13"), Commands),
    "member added, checked elsewhere": Kind(CHECKED, servers(CHECKED, c="{c} id 13 addr 127.0.0.1 port {d_port}"), Commands),
    "member added, disabled": Kind(CHECKED, servers(CHECKED, c="{c} id 13 disabled"), Commands),
    "member added, weight 0": Kind(PLAIN, servers(PLAIN, c="{c} id 13 weight 0"), Commands),
    "member added, PROXY": Kind(PLAIN, servers(PLAIN, c="{c} id 13 send-proxy"), Commands),
    "member added, PROXY v2": Kind(PLAIN, servers(PLAIN, c="{c} id 13 send-proxy-v2"), Commands),
    "member added, TLS": Kind(SECURE, servers(SECURE, u="{u} id 13"), Commands),
    "member added, TLS, checked": Kind(SECURE, servers(SECURE, u="{u} id 13 check inter 60s check-ssl"), Commands),
    "member added, TLS, file not loaded": Kind(
        PLAIN, {**servers(PLAIN, u="{u} ssl verify required ca-file certs/ca.pem"), "files": {"certs/ca.pem": "ca first"}}, Reload
    ),
    "member added, cookie": Kind(COOKIES, servers(COOKIES, c="{c} cookie c"), Commands, Feature.ADDED_SERVER_COOKIE),
    "member added, dynamic cookie": Kind(DYNAMIC_COOKIES, servers(DYNAMIC_COOKIES, c="{c} id 13"), Commands),
    "member added, backup": Kind(OCTAVIA, servers(OCTAVIA, c="{c} weight 1 backup"), Commands),
    "member added, backup, the first only": Kind(PLAIN, servers(PLAIN, c="{c} backup"), Reload),
    "member added, slowstart": Kind(PLAIN, servers(PLAIN, c="{c} slowstart 5s"), Reload),
    "member added, track": Kind(CHECKED, servers(CHECKED, c="{c} no-check track pool/a"), Reload),
    "member added, init-addr": Kind(PLAIN, servers(PLAIN, c="{c} init-addr none"), Reload),
    "member added, a name": Kind(PLAIN, servers(PLAIN, c="localhost:80"), Reload),
    "member added, hashed": Kind(HASHED, servers(HASHED, c="{c} id 13 weight 16"), Commands),
    "member added, hashed without ids": Kind({**HASHED, "servers": {"a": "{a}"}}, {**HASHED, "servers": {"a": "{a}", "b": "{b}"}}, Reload),
    "member added, hashed by a map": Kind(
        {**PLAIN, "backend": ["balance source"]}, servers({**PLAIN, "backend": ["balance source"]}, c="{c}"), Reload
    ),
    "member removed": Kind(PLAIN, servers(PLAIN, a=None), Commands),
    "member removed, hashed": Kind(HASHED, servers(HASHED, a=None), Commands),
    "members replaced": Kind(CHECKED, servers(CHECKED, a=None, b=None, c="{c} id 13", d="{d} id 14"), Commands),
    "member replaced, same id": Kind(PLAIN, servers(PLAIN, a=None, c="{c} id 11"), Reload),
    "member renamed in Octavia": Kind(OCTAVIA, servers(OCTAVIA, a=None, c="{c} weight 3 check inter 60s fall 3 rise 2"), Commands),
    "weight": Kind(PLAIN, servers(PLAIN, a="{a} id 11 weight 77"), Commands),
    "weight 0": Kind(PLAIN, servers(PLAIN, a="{a} id 11 weight 0"), Commands),
    "weight, hashed": Kind(HASHED, servers(HASHED, a="{a} id 11 weight 40"), Commands),
    "weight, static": Kind(
        {**PLAIN, "backend": ["balance static-rr"]}, servers({**PLAIN, "backend": ["balance static-rr"]}, a="{a} id 11"), Reload
    ),
    "address": Kind(PLAIN, servers(PLAIN, a="{c} id 11 weight 10"), Commands),
    "address, hashed": Kind(HASHED, servers(HASHED, a="{c} id 11 weight 10"), Commands),
    "address, dynamic cookie": Kind(DYNAMIC_COOKIES, servers(DYNAMIC_COOKIES, a="{c} id 11"), Commands),
    "address becomes a name": Kind(PLAIN, servers(PLAIN, a="localhost:80 id 11 weight 10"), Reload),
    "disabled": Kind(CHECKED, servers(CHECKED, a="{a} id 11 weight 10 disabled"), Commands),
    "enabled": Kind(servers(CHECKED, a="{a} id 11 weight 10 disabled"), CHECKED, Commands),
    "disabled, hashed by a map": Kind(
        {**PLAIN, "backend": ["balance source"]},
        servers({**PLAIN, "backend": ["balance source"]}, a="{a} id 11 weight 10 disabled"),
        Commands,
    ),
    "check address and port": Kind(
        servers(CHECKED, a="{a} id 11 addr 127.0.0.1 port {c_port}"), servers(CHECKED, a="{a} id 11 addr 127.0.0.1 port {d_port}"), Commands
    ),
    "check port begins": Kind(CHECKED, servers(CHECKED, a="{a} id 11 weight 10 port {d_port}"), Reload),
    "monitor paused": Kind(CHECKED, PLAIN, Commands),
    "monitor paused, Octavia": Kind(
        OCTAVIA,
        {
            **OCTAVIA,
            "servers": {"a": "{a} weight 10", "b": "{b} weight 1"},
            "backend": ["balance roundrobin", "fullconn 100", "option allbackups"],
        },
        Commands,
    ),
    "monitor resumed": Kind(PLAIN, CHECKED, Reload),
    "monitor's interval": Kind(CHECKED, {**CHECKED, "backend": [*CHECKED["backend"][:-1], "default-server check inter 9s"]}, Reload),
    "monitor's path": Kind(CHECKED, {**CHECKED, "backend": ["http-check send meth GET uri /other", *CHECKED["backend"]]}, Reload),
    "member's connections": Kind(servers(PLAIN, a="{a} id 11 maxconn 5"), servers(PLAIN, a="{a} id 11 maxconn 6"), Commands),
    "backup given": Kind(PLAIN, servers(PLAIN, a="{a} id 11 weight 10 backup"), Reload),
    "id": Kind(PLAIN, servers(PLAIN, a="{a} id 21 weight 10"), Reload),
    "certificate": Kind(TLS, files(TLS, one="renewed"), Commands),
    "certificate of another name": Kind(TLS, files(TLS, two="three", web=TLS["files"]["certs/web.crt-list"]), Commands),
    "certificate added": Kind(
        TLS, files(TLS, three="three", web=TLS["files"]["certs/web.crt-list"] + b"certs/three.pem three.example\n"), Commands
    ),
    "certificate removed": Kind(TLS, files(TLS, two=None, web=b"certs/one.pem one.example\n"), Commands),
    "certificate's names": Kind(TLS, files(TLS, web=b"certs/one.pem one.example\ncerts/two.pem *.two.example\n"), Commands),
    "certificates replaced": Kind(
        TLS, files(TLS, two=None, three="three", one="renewed", web=b"certs/one.pem one.example\ncerts/three.pem three.example\n"), Commands
    ),
    "default certificate's names": Kind(TLS, files(TLS, web=b"certs/one.pem\ncerts/two.pem two.example *.two.example\n"), Reload),
    "another default certificate": Kind(TLS, files(TLS, web=b"certs/two.pem two.example\ncerts/one.pem one.example\n"), Reload),
    "authorities": Kind(TLS, files(TLS, ca="ca both"), Commands, Feature.AUTHORITIES_REPLACED),
    "authorities, of members": Kind(SECURE, files(SECURE, ca="ca both"), Commands, Feature.AUTHORITIES_REPLACED),
    "authorities, larger than the socket takes": Kind(TLS, files(TLS, ca=Authority().certificate_pem * 40), Reload),
    "revocations": Kind(TLS, files(TLS, crl="crl bad"), Commands, Feature.AUTHORITIES_REPLACED),
    "revocations taken back": Kind(files(TLS, crl="crl bad"), TLS, Commands, Feature.AUTHORITIES_REPLACED),
    "allowed CIDRs": Kind(LISTED, files(LISTED, allowed=b"127.0.0.0/8\n2001:db8::/32\n# nobody else\n"), Commands),
    "allowed CIDRs, fewer": Kind(files(LISTED, allowed=b"0.0.0.0/0\n"), LISTED, Commands),
    "rule's value": Kind(RULED, files(RULED, list_one=" #/\\a ;<<é\n".encode()), Commands),
    "rule's value, a regular expression": Kind(RULED, files(RULED, list_two=b"^/z{1,2} *$\n"), Commands),
    "values of two rules": Kind(RULED, files(RULED, list_one=b"/\n", list_two=b"^/$\n"), Reload),
    "connection limit": Kind(PLAIN, {**PLAIN, "frontend": ["maxconn 55"]}, Commands),
    "connection limit, as the process has": Kind(PLAIN, {**PLAIN, "frontend": []}, Commands),
    "connection limit, Octavia, lower": Kind(
        OCTAVIA,
        {**OCTAVIA, "global": ["maxconn 900"], "frontend": ["maxconn 55"], "backend": [*OCTAVIA["backend"], "fullconn 55"]},
        Commands,
    ),
    "connections of the process, more": Kind(PLAIN, {**PLAIN, "global": ["maxconn 2000"]}, Reload),
    "order, comments, blanks": Kind(
        CHECKED,
        {
            **CHECKED,
            "servers": dict(reversed(CHECKED["servers"].items())),
            "frontend": ["  maxconn   100 # so many", "", "# more"],
            "backend": [CHECKED["backend"][-2], *CHECKED["backend"][:-2], CHECKED["backend"][-1]],
        },
        NoOp,
    ),
    "order, hashed by a map": Kind(
        {**PLAIN, "backend": ["balance source"]},
        {**PLAIN, "backend": ["balance source"], "servers": dict(reversed(PLAIN["servers"].items()))},
        Reload,
    ),
    "room for TLS sessions": Kind(OCTAVIA, {**OCTAVIA, "global": [*OCTAVIA["global"][:-1], "tune.ssl.cachesize 40000"]}, NoOp),
    "timeout": Kind(PLAIN, {**PLAIN, "backend": [*PLAIN["backend"], "timeout server 9s"]}, Reload),
    "algorithm": Kind(PLAIN, {**PLAIN, "backend": ["balance leastconn"]}, Reload),
    "rule": Kind(PLAIN, {**PLAIN, "frontend": ["maxconn 100", "http-request deny if { path /x }"]}, Reload),
    "backend added": Kind(PLAIN, {**PLAIN, "more": ["backend other"]}, Reload),
    "process": Kind(PLAIN, {**PLAIN, "global": ["maxconn 1000", "nbthread 1"]}, Reload),
    "environment": Kind(PLAIN, {**PLAIN, "global": ["maxconn 1000", "setenv A b"]}, Restart),
}
ONE: Part = {**PLAIN, "servers": {"a": "{a} id 11"}}
NONE: Part = {**PLAIN, "servers": {}}
HASHED_BY_ADDRESS: Part = {**HASHED, "backend": [*HASHED["backend"], "default-server hash-key addr-port"]}


def compare(haproxy: Haproxy, world: World, old: Part, new: Part, commands: tuple[Command, ...]) -> None:
    """What the commands make of a HAProxy that was started with `old`, beside one that is started with `new`."""
    with running(haproxy, world.files(old)) as changed:
        changed.runtime.execute(commands, patience=PATIENCE)
        state, seen = changed.state(world.files(new)), world.seen(new)
    with running(haproxy, world.files(new)) as started:
        assert state == started.state()
        assert seen == world.seen(new)


@pytest.mark.parametrize("name", KINDS)
def test_a_change_comes_out_as_a_start_with_the_new_file(haproxy: Haproxy, world: World, name: str) -> None:
    kind = KINDS[name]
    made = plan(world.files(kind.old), world.files(kind.new), haproxy.version)
    assert type(made) is (kind.way if kind.needs is None or has(haproxy.version, kind.needs) else Reload), made
    if isinstance(made, Commands):
        compare(haproxy, world, kind.old, kind.new, made.commands)


@pytest.mark.parametrize("new", [servers(HASHED_BY_ADDRESS, a="{c} id 11 weight 10"), servers(HASHED_BY_ADDRESS, c="{c} id 13")])
def test_a_hash_of_addresses(haproxy: Haproxy, world: World, new: Part) -> None:
    if haproxy.version < (3, 0):
        return
    made = plan(world.files(HASHED_BY_ADDRESS), world.files(new), haproxy.version)
    assert isinstance(made, Commands)
    compare(haproxy, world, HASHED_BY_ADDRESS, new, made.commands)


def test_a_member_that_goes_keeps_the_connections_that_it_has(haproxy: Haproxy, world: World) -> None:
    made = plan(world.files(ONE), world.files(NONE), haproxy.version)
    assert isinstance(made, Commands)
    with running(haproxy, world.files(ONE)) as changed, _half_a_request(world, changed) as kept:
        with pytest.raises(CommandRefused, match=r"del server pool/a.*still has connections"):
            changed.runtime.execute([command for command in made.commands if not command.patient] + [_impatient(made)], patience=0)
        kept.send(b"5")
        assert b"200 OK" in kept.receive()
        changed.runtime.execute(made.commands, patience=PATIENCE)
        assert "server pool/a" not in changed.state()


def test_a_member_that_goes_ends_the_connections_that_do_not_end(haproxy: Haproxy, world: World) -> None:
    made = plan(world.files(ONE), world.files(NONE), haproxy.version)
    assert isinstance(made, Commands)
    with running(haproxy, world.files(ONE)) as changed, _half_a_request(world, changed):
        changed.runtime.execute(made.commands, patience=0.2)
        assert "server pool/a" not in changed.state()


def test_certificates_can_be_replaced_after_authorities(haproxy: Haproxy, world: World) -> None:
    steps = [TLS, files(TLS, ca="ca both"), files(TLS, ca="ca both", one="renewed"), files(TLS, ca="ca both", one="renewed", crl="crl bad")]
    if not has(haproxy.version, Feature.AUTHORITIES_REPLACED):
        steps = [TLS, files(TLS, one="renewed"), files(TLS, one="renewed", two="three")]
    with running(haproxy, world.files(TLS)) as changed:
        for old, new in pairwise(steps):
            made = plan(world.files(old), world.files(new), haproxy.version)
            assert isinstance(made, Commands)
            changed.runtime.execute(made.commands, patience=0)
        seen = world.seen(steps[-1])
    assert seen["one.example", None] == world.certificates["renewed"].der


def test_what_a_refused_command_began_is_not_in_the_way(haproxy: Haproxy, world: World) -> None:
    renewed = files(TLS, one="renewed")
    made = plan(world.files(TLS), world.files(renewed), haproxy.version)
    assert isinstance(made, Commands)
    refused = Command(text="set server pool/nobody weight 1", object="backend pool, server nobody", field="weight")
    with running(haproxy, world.files(TLS)) as changed:
        before = changed.state()
        with pytest.raises(CommandRefused, match=r"backend pool, server nobody: weight: .*set server pool/nobody weight 1.*No such server"):
            changed.runtime.execute([made.commands[0], refused], patience=0)
        assert changed.state() == before
        other = plan(world.files(TLS), world.files(files(TLS, two="three")), haproxy.version)
        assert isinstance(other, Commands)
        changed.runtime.execute(other.commands, patience=0)


def test_a_list_in_use_is_not_emptied_by_what_fails_behind_it(haproxy: Haproxy, world: World) -> None:
    made = plan(world.files(LISTED), world.files(files(LISTED, allowed=b"127.0.0.0/8\n")), haproxy.version)
    assert isinstance(made, Commands)
    refused = Command(text="bogus", object="it", field="text")
    with running(haproxy, world.files(LISTED)) as changed:
        with pytest.raises(CommandRefused, match="bogus"):
            changed.runtime.execute([*made.commands, refused], patience=0)
        assert fetch(("127.0.0.1", world.port.port), source="127.0.0.9").status == 200


def test_what_was_promised_and_does_not_hold_is_told(haproxy: Haproxy, world: World) -> None:
    promise = Command(text="show version", object="it", field="text", answer="2|3", confirm=(ServerGone("pool", "a"),))
    with running(haproxy, world.files(PLAIN)) as changed, pytest.raises(CommandRefused, match="server pool/a is still there"):
        changed.runtime.execute([promise], patience=0)


def _impatient(made: Commands) -> Command:
    """The removal, as a command that is not asked twice."""
    removal = next(command for command in made.commands if command.patient)
    return Command(text=removal.text, object=removal.object, field=removal.field, answer=removal.answer)


@contextmanager
def _half_a_request(world: World, changed: Running) -> Iterator[Connection]:
    """A connection over which the only member waits for the last byte of a request."""
    with Connection(("127.0.0.1", world.port.port)) as connection:
        connection.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n1234")
        eventually(lambda: {"svname": "a", "scur": "1"} in changed.stats.show_stat(("svname", "scur")), "a session of the member")
        yield connection


def test_a_reload_after_commands_is_as_its_file_says(haproxy: Haproxy, world: World) -> None:
    """Through a file of states, which alone would bring back what commands had made of the servers."""
    old = {**OCTAVIA, "global": ["maxconn 1000", "server-state-file @run@/states"]}
    new = servers(old, a="{c} weight 7 check inter 60s fall 3 rise 2", b="{b} weight 1 check inter 60s fall 3 rise 2 disabled")
    made = plan(world.files(old), world.files(new), haproxy.version)
    assert isinstance(made, Commands)
    with running(haproxy, world.files(old)) as changed:
        before = changed.state()
        changed.runtime.execute(made.commands, patience=PATIENCE)
        states = changed.process.log.with_name("states")
        states.write_text(kept(changed.stats.ask("show servers state"), world.files(old).configuration))
        changed.process.reload()
        assert changed.state() == before
        states.write_text(changed.stats.ask("show servers state"))
        changed.process.reload()
        assert changed.state() == before
