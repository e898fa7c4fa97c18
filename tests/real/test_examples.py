"""Every example: nothing is wrong with it, the real programs take what it becomes, and behind its listeners somebody answers.

Addresses and ports of an example are examples: VIPs become loopback addresses, members running backends, ports free ones. All else is as it
is written, certificates too: they are made by the commands that the example tells.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import ssl
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.polling import eventually

import compiler
from agent import bundle_directory
from agent.supervised import SupervisedHaproxy
from compiler import documents
from compiler.target import Target
from hydria import secret_files
from hydria.lab.backends import HttpBackend
from hydria.lab.certificates import Authority
from hydria.lab.client import fetch
from hydria.lab.ports import HeldPort

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.haproxy import Haproxy
    from hydria.lab.client import Answer

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = sorted(path.name for path in EXAMPLES.glob("*.*") if path.suffix in {".yaml", ".json"} and ".target." not in path.name)
FORWARDED_BY_LVS = ["sctp.yaml", "udp.yaml"]
TARGETS = {"active-standby.yaml": "active-standby.target.yaml"}

every_example = pytest.mark.parametrize("name", NAMES)

_COMMAND = re.compile(r"^#   ((?:mkdir|openssl|cat) .*)$", re.MULTILINE)

#: Example → (listener, path, headers, who answers: a member, or a status and where it leads).
ANSWERS: dict[str, list[tuple[str, str, dict[str, str], str]]] = {
    "api-show.json": [("web", "/static/a", {}, "static-1")],
    "l7-policies.yaml": [
        ("web", "/admin/users", {}, "403"),
        ("web", "/admin/users", {"X-Internal": "yes"}, "page-1"),
        ("web", "/old&sale", {}, "301 https://shop.example.org/sale?from=old&year=2026"),
        ("web", "/a?b=c", {"Host": "OLD.example.org:8080"}, "302 https://www.example.org/a?b=c"),
        ("web", "/cat.jpeg", {}, "picture-1"),
        ("web", "/manual.pdf", {}, "picture-1"),
        ("web", "/", {"Cookie": "beta=on"}, "beta-1"),
        ("web", "/my/cart", {"Cookie": "beta=on"}, "page-1"),
    ],
    "prometheus.yaml": [("metrics", "/metrics", {}, "200"), ("metrics", "/", {}, "404")],
    "references.yaml": [
        ("web", "/cat.png", {}, "picture-1"),
        ("web", "/articles/1", {}, "article-1"),
        ("articles-only", "/", {}, "article-1"),
    ],
    "tls-sni.yaml": [("plain", "/x?y=1", {}, "308 https://shop.example.org/x?y=1")],
}


_MADE: dict[str, tempfile.TemporaryDirectory[str]] = {}


def certificates(name: str) -> Path:
    """The directory `certs` that the commands of the example make, run once; it may not be there."""
    if name not in _MADE:
        directory = _MADE[name] = tempfile.TemporaryDirectory(prefix="hydria-example-")
        commands = "\n".join(_COMMAND.findall((EXAMPLES / name).read_text(encoding="utf-8")))
        done = subprocess.run(["sh", "-euc", commands], cwd=directory.name, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return Path(_MADE[name].name) / "certs"


@pytest.fixture(scope="module", autouse=True)
def _certificates_are_removed() -> Iterator[None]:
    yield
    while _MADE:
        _MADE.popitem()[1].cleanup()


def bundle_of(name: str, text: str | bytes, target: Target) -> tuple[compiler.LoadBalancer, compiler.Bundle]:
    """What an example becomes; any problem, warnings too, is a failure."""
    graph = compiler.load(text)
    certs = certificates(name)
    secrets = secret_files.resolve(compiler.secret_references(graph), certs if certs.exists() else None, EXAMPLES)
    bundle = compiler.build(graph, target, secrets, now=dt.datetime.now(dt.UTC))
    assert not bundle.problems, "\n".join(map(str, bundle.problems))
    return graph, bundle


def written(name: str, directory: Path, **target: Any) -> compiler.Bundle:
    """The example's bundle, as files."""
    made_for = Target(**target)
    if name in TARGETS:
        described = Target.read((EXAMPLES / TARGETS[name]).read_bytes())
        made_for = Target(**{field: getattr(described, field) for field in described.__struct_fields__} | target)
    _, bundle = bundle_of(name, (EXAMPLES / name).read_bytes(), made_for)
    bundle_directory.replace(bundle, directory)
    return bundle


class Running:
    """An example that serves, with backends that are called what its members are called."""

    def __init__(self, name: str, haproxy: Haproxy, stack: ExitStack) -> None:
        self._certs = certificates(name)
        self._stack = stack
        self.backends: dict[str, HttpBackend] = {}
        # Through JSON: what aliases share must not be changed twice.
        document = json.loads(json.dumps(documents.parse((EXAMPLES / name).read_bytes())))
        self.described: dict[str, Any] = document["loadbalancer"]
        vips = self._place_vips()
        for listener in self.described["listeners"]:
            listener["protocol_port"] = stack.enter_context(HeldPort(vips)).port
        self._place_members()
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hydria-")))
        here: dict[str, Any] = {"user": None, "group": None, "log": None, "maxconn": 4000, "run_directory": str(directory)}
        graph, bundle = bundle_of(name, json.dumps(document), Target(haproxy=haproxy.version, **here))
        bundle_directory.replace(bundle, directory / "bundle")
        self.process = stack.enter_context(SupervisedHaproxy(haproxy, directory / "bundle", directory, graph.id))
        self.process.start()

    def _place_vips(self) -> list[str]:
        own = iter(f"127.0.0.{number}" for number in range(1, 9))
        places = [self.described, *self.described.get("additional_vips", [])]
        for place, field in zip(places, ["vip_address", *["ip_address"] * len(places)], strict=False):
            place[field] = "::1" if ":" in place[field] else next(own)
        return [place.get("vip_address") or place["ip_address"] for place in places]

    def _pools(self) -> Iterator[dict[str, Any]]:
        places = [*self.described.get("pools", []), *(listener.get("default_pool", {}) for listener in self.described["listeners"])]
        places += [p.get("redirect_pool", {}) for listener in self.described["listeners"] for p in listener.get("l7policies", [])]
        yield from (pool for pool in places if "members" in pool)

    def _place_members(self) -> None:
        written: dict[tuple[str, int], HttpBackend] = {}
        for pool in self._pools():
            for member in pool["members"]:
                if member["name"] not in self.backends:
                    tls = self._server_context() if pool["protocol"] == "HTTPS" or pool.get("tls_enabled") else None
                    backend = self._stack.enter_context(HttpBackend(member["name"], address=member["address"], tls=tls))
                    self.backends[member["name"]] = backend
                    written.setdefault((member["address"], member["protocol_port"]), backend)
                member["protocol_port"] = self.backends[member["name"]].port
        for member in (member for pool in self._pools() for member in pool["members"] if member.get("monitor_port")):
            member["monitor_port"] = written[member["monitor_address"], member["monitor_port"]].port

    def _server_context(self) -> ssl.SSLContext:
        """What a TLS member presents. Where the example makes an authority for members, it asks for a certificate of that authority."""
        if not self._certs.exists():
            return Authority().server("member.example.org").server_context()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._certs / "member.crt", self._certs / "member.key")
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(self._certs / "members-ca.pem")
        return context

    def default_members(self, listener: str) -> set[str]:
        """Who may answer where no policy chooses."""
        described = self._listener(listener)
        wanted = described.get("default_pool") or {"id": described["default_pool_id"]}
        found = next(p for p in self._pools() if all(p.get(key) == wanted[key] for key in ("id", "name") if key in wanted))
        return {
            m["name"] for m in found["members"] if m.get("weight") != 0 and not m.get("backup") and m.get("admin_state_up") is not False
        }

    def _listener(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = next(listener for listener in self.described["listeners"] if listener["name"] == name)
        return found

    def fetch(
        self,
        listener: str,
        path: str = "/",
        headers: dict[str, str] | None = None,
        *,
        vip: str | None = None,
        source: str | None = None,
        server_name: str = "www.example.org",
        show_certificate: bool = True,
    ) -> Answer:
        """One request, over TLS where the listener's protocol is that, with the client certificate that the example makes, if it does."""
        described = self._listener(listener)
        context = None
        if described["protocol"] in {"TERMINATED_HTTPS", "HTTPS"}:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            if show_certificate and (self._certs / "anna.crt").exists():
                context.load_cert_chain(self._certs / "anna.crt", self._certs / "anna.key")
        address = (vip or self.described["vip_address"], described["protocol_port"])
        return fetch(address, path, headers=headers, source=source, tls=context, server_name=server_name if context else None)


def test_examples_were_found_and_each_is_in_the_list() -> None:
    listed = re.findall(r"^\| \[([\w.-]+)\]", (EXAMPLES / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(NAMES) > 20
    assert sorted(listed) == NAMES


@every_example
def test_nothing_is_wrong_with_it(name: str, haproxy: Haproxy, tmp_path: Path) -> None:
    bundle = written(name, tmp_path / "bundle", haproxy=haproxy.version)
    checked = haproxy.check(tmp_path / "bundle")
    assert checked.ok, checked.output
    assert not list(compiler.blame(checked.output, bundle))


@pytest.mark.parametrize("name", [*FORWARDED_BY_LVS, *TARGETS])
def test_keepalived_and_the_packet_filter_take_it(name: str, tmp_path: Path) -> None:
    files = written(name, tmp_path / "bundle", run_directory="/tmp").files
    ours = [path for path in files if path.startswith(("keepalived/", "nftables/"))]
    assert ours
    # keepalived refuses to run VRRP on loopback, and must not look at this machine's own addresses.
    commands = ["ip link add eth1 type veth peer name other", "ip link set eth1 up"]
    commands += [f"keepalived --config-test --log-console --use-file {path}" for path in ours if path.startswith("keepalived/")]
    commands += [f"nft --check --file {path}" for path in ours if path.startswith("nftables/")]
    script = ["unshare", "--net", "sh", "-euc", "\n".join(commands)]
    done = subprocess.run(script, cwd=tmp_path / "bundle", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("name", [name for name in NAMES if name not in FORWARDED_BY_LVS])
def test_behind_every_listener_somebody_answers(name: str, haproxy: Haproxy) -> None:
    with ExitStack() as stack:
        running = Running(name, haproxy, stack)
        for listener in running.described["listeners"]:
            if "default_pool" in listener or "default_pool_id" in listener:
                assert running.fetch(listener["name"]).name in running.default_members(listener["name"])
        for listener, path, headers, expected in ANSWERS.get(name, []):
            answer = running.fetch(listener, path, headers)
            assert (answer.name or f"{answer.status} {answer.location or ''}".strip()) == expected, path


def test_each_name_has_its_certificate(haproxy: Haproxy) -> None:
    certs = certificates("tls-sni.yaml")
    with ExitStack() as stack:
        running = Running("tls-sni.yaml", haproxy, stack)
        for asked, name in (("www.shop.example.org", "shop"), ("anna.blog.example.org", "blog"), ("unknown.example.org", "default")):
            answer = running.fetch("secure", server_name=asked)
            shown = ssl.DER_cert_to_PEM_cert(answer.certificate or b"")
            assert shown in (certs / f"{name}.pem").read_text()
            assert answer.header("Strict-Transport-Security") == "max-age=31536000; includeSubDomains"


def test_clients_without_a_certificate_are_kept_from_what_needs_one(haproxy: Haproxy) -> None:
    with ExitStack() as stack:
        running = Running("client-certificates.yaml", haproxy, stack)
        assert running.fetch("may", show_certificate=False).status == 200
        assert running.fetch("may", "/account", show_certificate=False).status == 403
        with pytest.raises(OSError, match=r"certificate required|reset|CERTIFICATE_REQUIRED"):
            running.fetch("must", show_certificate=False)
        told = dict(running.fetch("may", "/account").json()["headers"])
        assert (told["x-ssl-client-has-cert"], told["x-ssl-client-verify"], told["x-ssl-client-cn"]) == ("1", "0", "anna")


def test_members_are_verified_and_shown_a_certificate(haproxy: Haproxy) -> None:
    with ExitStack() as stack:
        tls = Running("re-encryption.yaml", haproxy, stack).fetch("secure").json()["arrival"]["tls"]
    assert (tls["server_name"], tls["client"]) == ("www.example.org", "CN=load-balancer")


def test_who_may_not_connect_is_turned_away(haproxy: Haproxy) -> None:
    with ExitStack() as stack:
        running = Running("allowed-cidrs.yaml", haproxy, stack)
        assert running.fetch("open", source="127.0.0.2").name == "page-1"
        with pytest.raises(OSError, match=r"without an answer|reset"):
            running.fetch("web", source="127.0.0.2")


def test_members_learn_the_client_from_the_header_before(haproxy: Haproxy) -> None:
    with ExitStack() as stack:
        running = Running("proxy-protocol.yaml", haproxy, stack)
        for listener, version in (("version-1", 1), ("version-2", 2)):
            proxy = running.fetch(listener, source="127.0.0.77").json()["arrival"]["proxy"]
            assert (proxy["version"], proxy["source"]) == (version, "127.0.0.77")


def test_clients_keep_their_members(haproxy: Haproxy) -> None:
    with ExitStack() as stack:
        running = Running("persistence.yaml", haproxy, stack)
        first = running.fetch("by-added-cookie")
        cookie = (first.header("Set-Cookie") or "").partition(";")[0]
        assert cookie.startswith("SRV=")
        assert {running.fetch("by-added-cookie", headers={"Cookie": cookie}).name for _ in range(4)} == {first.name}
        set_by = running.fetch("by-their-cookie", headers={"X-Lab-Set-Cookie": "JSESSIONID=abc; Path=/"}).name
        assert {running.fetch("by-their-cookie", headers={"Cookie": "JSESSIONID=abc"}).name for _ in range(4)} == {set_by}
        assert len({running.fetch("by-address", source="127.0.0.9").name for _ in range(4)}) == 1


def test_backups_serve_when_nobody_else_can(haproxy: Haproxy) -> None:
    with ExitStack() as stack:
        running = Running("backups-and-draining.yaml", haproxy, stack)
        assert {running.fetch("web").name for _ in range(4)} == {"page-1"}
        for name in ("page-1", "page-2"):
            running.backends[name].refuse()
        spares = {"spare-1", "spare-2"}
        eventually(lambda: {name for name in (running.fetch("web").name for _ in range(4)) if name} == spares, "both backups serve")


def test_every_address_is_served(haproxy: Haproxy) -> None:
    with ExitStack() as stack:
        running = Running("ipv6-and-additional-vips.yaml", haproxy, stack)
        answers = [running.fetch("web", vip=vip) for vip in ("::1", "127.0.0.1", "127.0.0.2") for _ in range(2)]
        assert {answer.name for answer in answers} == {"page-4", "page-6"}
