"""What real HAProxy complains about comes back as a problem of the object and field behind it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

import compiler
from agent import bundle_directory
from compiler import Secret, Severity, Target
from hydria.lab.certificates import Authority

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agent.haproxy import Haproxy

TARGET = Target(user=None, group=None, log=None)


@pytest.fixture(scope="module")
def secrets() -> dict[str, Secret]:
    authority = Authority()
    found = {name: Secret(authority.server(f"{name}.example.org").bundle_pem) for name in ("certificate", "second", "client")}
    return found | {"authority": Secret(authority.certificate_pem), "revocations": Secret(authority.crl())}


@pytest.fixture(scope="module")
def bundle(secrets: dict[str, Secret]) -> compiler.Bundle:
    return compiler.build(compiler.load(document({}, {})), TARGET, secrets)


def document(listener: dict[str, Any], pool: dict[str, Any], *rules: dict[str, Any]) -> str:
    """A TLS listener with one policy of these rules over one pool that encrypts; the listener before it stands in the way of wrong places."""
    policies = [{"name": "p", "action": "REJECT", "rules": [{"type": "PATH", "compare_type": "EQUAL_TO", "value": "/fine"}, *rules]}]
    front = {
        "name": "front",
        "protocol": "TERMINATED_HTTPS",
        "protocol_port": 443,
        "default_pool": {"name": "web"},
        "default_tls_container_ref": "certificate",
        "sni_container_refs": ["second"],
        "client_ca_tls_container_ref": "authority",
        "client_crl_container_ref": "revocations",
        "client_authentication": "OPTIONAL",
        "allowed_cidrs": ["192.0.2.0/24"],
        "l7policies": policies,
        **listener,
    }
    web = {
        "name": "web",
        "protocol": "HTTP",
        "lb_algorithm": "ROUND_ROBIN",
        "tls_enabled": True,
        "tls_container_ref": "client",
        "ca_tls_container_ref": "authority",
        "crl_container_ref": "revocations",
        "members": [{"name": "m", "address": "192.0.2.1", "protocol_port": 443}],
        **pool,
    }
    plain = {"name": "other", "protocol": "HTTP", "protocol_port": 80, "default_pool": {"name": "web"}}
    return json.dumps({"name": "lb", "vip_address": "203.0.113.10", "listeners": [plain, front], "pools": [web]})


def rule(value: str, kind: str = "PATH", **fields: Any) -> dict[str, Any]:
    return {"name": "r", "type": kind, "compare_type": "REGEX", "value": value, **fields}


def nothing(_: Path) -> None:
    """The bundle stays as it was made."""


def remove(pattern: str) -> Callable[[Path], None]:
    def unlink(bundle: Path) -> None:
        (place,) = bundle.glob(pattern)
        place.unlink()

    return unlink


def spoil(pattern: str, text: str = "no such thing\n") -> Callable[[Path], None]:
    def write(bundle: Path) -> None:
        (place,) = bundle.glob(pattern)
        place.write_text(text)

    return write


L, P = "loadbalancer.listeners[1]", "loadbalancer.pools[0]"
RULE = f"{L}.l7policies[0].rules[1]"

#: What is wrong: (document, target, what is done to the bundle, (type, name) and path that must be told)
CASES: dict[str, tuple[str, Target, Callable[[Path], None], tuple[str, str], str]] = {
    "a regular expression that is none": (document({}, {}, rule("(")), TARGET, nothing, ("l7rule", "r"), f"{RULE}.value"),
    "a regular expression full of quotes": (document({}, {}, rule("'\"[#")), TARGET, nothing, ("l7rule", "r"), f"{RULE}.value"),
    "a regular expression of a header": (document({}, {}, rule("*", "HEADER", key="X")), TARGET, nothing, ("l7rule", "r"), f"{RULE}.value"),
    "a value that looks like another place": (
        document({}, {}, rule("( haproxy.cfg:1 [haproxy.cfg:2]")),
        TARGET,
        nothing,
        ("l7rule", "r"),
        f"{RULE}.value",
    ),
    "a listener's ciphers": (document({"tls_ciphers": "NOBODY"}, {}), TARGET, nothing, ("listener", "front"), f"{L}.tls_ciphers"),
    "a listener's ciphers of TLS 1.3": (
        document({"tls_ciphers": "TLS_NOBODY"}, {}),
        TARGET,
        nothing,
        ("listener", "front"),
        f"{L}.tls_ciphers",
    ),
    "a pool's ciphers": (document({}, {"tls_ciphers": "NOBODY"}), TARGET, nothing, ("pool", "web"), f"{P}.tls_ciphers"),
    "a pool's ciphers of TLS 1.3": (document({}, {"tls_ciphers": "TLS_NOBODY"}), TARGET, nothing, ("pool", "web"), f"{P}.tls_ciphers"),
    "a list of certificates that is gone": (
        document({}, {}),
        TARGET,
        remove("certs/*.crt-list"),
        ("listener", "front"),
        f"{L}.default_tls_container_ref",
    ),
    "a list of networks that is none": (document({}, {}), TARGET, spoil("lists/*.allowed"), ("listener", "front"), f"{L}.allowed_cidrs"),
    "a list of networks that is gone": (document({}, {}), TARGET, remove("lists/*.allowed"), ("listener", "front"), f"{L}.allowed_cidrs"),
}


def complaints(haproxy: Haproxy, bundle: compiler.Bundle, directory: Path, harm: Callable[[Path], None]) -> list[compiler.Problem]:
    bundle_directory.write(bundle.files, directory / "bundle")
    harm(directory / "bundle")
    checked = haproxy.check(directory / "bundle")
    assert not checked.ok, "HAProxy was to complain"
    return compiler.blame(checked.output, bundle)


@pytest.mark.parametrize("case", CASES)
def test_who_is_blamed(case: str, haproxy: Haproxy, secrets: dict[str, Secret], tmp_path: Path) -> None:
    text, target, harm, (kind, name), path = CASES[case]
    bundle = compiler.build(compiler.load(text), target, secrets)
    assert bundle.ok, bundle.problems
    found = complaints(haproxy, bundle, tmp_path, harm)
    errors = [problem for problem in found if problem.severity is Severity.ERROR]
    assert errors
    told = [(problem.object.type, problem.object.name, problem.path) if problem.object else None for problem in errors]
    assert told[0] == (kind, name, path), found
    # Where a rule's line is refused, HAProxy also misses the rule in its policy's condition; that is said of the policy.
    assert set(told[1:]) <= {(kind, name, path), ("l7policy", "p", f"{L}.l7policies[0].action")}, found
    assert {problem.code for problem in errors} == {"rejected-by-haproxy"}
    assert all(problem.message and "\n" not in problem.message for problem in errors)


@pytest.mark.parametrize(
    ("reference", "suffix", "blamed"),
    [
        ("certificate", ".pem", {("listener", f"{L}.default_tls_container_ref")}),
        ("second", ".pem", {("listener", f"{L}.sni_container_refs"), ("listener", f"{L}.sni_container_refs[0]")}),
        ("client", ".pem", {("pool", f"{P}.tls_container_ref")}),
        ("authority", ".ca.pem", {("listener", f"{L}.client_ca_tls_container_ref"), ("pool", f"{P}.ca_tls_container_ref")}),
        ("revocations", ".crl.pem", {("listener", f"{L}.client_crl_container_ref"), ("pool", f"{P}.crl_container_ref")}),
    ],
)
def test_whose_file_is_missing(
    *,
    reference: str,
    suffix: str,
    blamed: set[tuple[str, str]],
    haproxy: Haproxy,
    bundle: compiler.Bundle,
    secrets: dict[str, Secret],
    tmp_path: Path,
) -> None:
    # The file that holds the secret's first certificate or list, whatever else is in it.
    first = next(block for block in secrets[reference].parts["bundle"].split(b"-----BEGIN ") if block.startswith((b"CERT", b"X509")))
    (path,) = (path for path, file in bundle.files.items() if re.fullmatch(rf"[^.]*{re.escape(suffix)}", path) and first in file.content)
    found = complaints(haproxy, bundle, tmp_path, lambda directory: (directory / path).unlink())
    told = {(problem.object.type, problem.path) if problem.object else None for problem in found if problem.severity is Severity.ERROR}
    assert told
    assert told <= blamed, found


@pytest.mark.parametrize("field", ["user", "group"])
def test_somebody_whom_the_machine_does_not_know(field: str, haproxy: Haproxy, secrets: dict[str, Secret], tmp_path: Path) -> None:
    target = msgspec.structs.replace(TARGET, **{field: "nobody-at-all"})
    bundle = compiler.build(compiler.load(document({}, {})), target, secrets)
    found = complaints(haproxy, bundle, tmp_path, nothing)
    assert [(problem.object.type, problem.path) if problem.object else None for problem in found] == [("loadbalancer", "loadbalancer")]
    assert "nobody-at-all" in found[0].message


def test_several_complaints_are_several_problems(haproxy: Haproxy, secrets: dict[str, Secret], tmp_path: Path) -> None:
    bundle = compiler.build(compiler.load(document({"tls_ciphers": "NOBODY"}, {}, rule("("), rule("["))), TARGET, secrets)
    found = complaints(haproxy, bundle, tmp_path, nothing)
    assert {f"{RULE}.value", f"{L}.l7policies[0].rules[2].value"} <= {problem.path for problem in found}


class TestRecorded:
    """Forms of a complaint, as versions of HAProxy have written them."""

    def line(self, bundle: compiler.Bundle, start: str) -> int:
        lines = bundle.files[compiler.HAPROXY_CFG].content.decode().split("\n")
        return next(number for number, text in enumerate(lines, 1) if text.strip().startswith(start))

    @pytest.mark.parametrize(
        "form",
        [
            "[ALERT]    (123) : config : parsing [/x y/bundle/haproxy.cfg:{line}] : unknown keyword 'x'.",
            "[ALERT] 125/010203 (123) : parsing [/srv/haproxy.cfg:{line}] : unknown keyword 'x'.",
            "[ALERT]    (1) : config : [haproxy.cfg:{line}] : 'acl' : unknown keyword 'x'.",
            "[ALERT]    (1) : config : Proxy 'x': something at haproxy.cfg:{line}.",
        ],
    )
    def test_by_its_place(self, bundle: compiler.Bundle, form: str) -> None:
        (problem,) = compiler.blame(form.format(line=self.line(bundle, "acl")), bundle)
        assert problem.object is not None
        assert problem.object.type == "l7rule"

    def test_by_an_id_in_the_message(self, bundle: compiler.Bundle) -> None:
        server = self.line(bundle, "server ")
        member_id = bundle.files[compiler.HAPROXY_CFG].content.decode().split("\n")[server - 1].split()[1]
        (problem,) = compiler.blame(f"[WARNING]  (1) : config : server 'a/{member_id}' has no address", bundle)
        assert (problem.severity, problem.code) == (Severity.WARNING, "haproxy-warning")
        assert problem.object is not None
        assert (problem.object.type, problem.path.startswith(f"{P}.members[0]")) == ("member", True)

    def test_about_nobody(self, bundle: compiler.Bundle) -> None:
        for text in ("cannot fork", "[haproxy.cfg:99999] : x", "[other.cfg:5] : x", "[haproxy.cfg:0] : x"):
            (problem,) = compiler.blame(f"[ALERT]    (1) : {text}", bundle)
            assert (problem.object, problem.path) == (None, "")
            assert problem.message

    def test_continued_lines_belong_together(self, bundle: compiler.Bundle) -> None:
        (problem,) = compiler.blame("[ALERT]    (1) : config : one\n  | two\nthree\n[NOTICE]   (1) : path\n  | four\n", bundle)
        assert problem.message == "one two three"

    def test_what_is_no_complaint(self, bundle: compiler.Bundle) -> None:
        said = "[NOTICE]   (1) : haproxy version is 2.6\nConfiguration file is valid\n[ALERT]    (1) : config : Fatal errors found in configuration.\n"
        assert compiler.blame(said, bundle) == []
        assert compiler.blame("", bundle) == []
