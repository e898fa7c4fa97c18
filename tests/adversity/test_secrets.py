"""No secret is told: not in the logs of the agent, of HAProxy and keepalived, nor in any file but those that are there to hold it."""

from __future__ import annotations

import base64
import re
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from support.attacked import Attacked
from support.polling import eventually

from hydria.lab.ports import HeldPort

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hydria.lab.certificates import Certificate

HEARTBEAT_KEYS = ("Ge2heim-the-first-9c1f", "Ge2heim-the-second-77ab", "Ge2heim-the-third-e04d")
VRRP_PASSWORD = "Ge2hm-vr"


def traces(secret: bytes) -> set[bytes]:
    """A secret as it is, and in the forms in which it might be written."""
    forms = {secret, secret.hex().encode(), secret.hex().upper().encode(), repr(secret).encode()[2:-1]}
    for offset in range(3):
        # Within a longer text, base64 has three ways to write the same bytes; the ends depend on the neighbours.
        coded = base64.b64encode(bytes(offset) + secret)
        forms.add(coded[4 : len(coded) // 4 * 4 - 4] if offset else coded[: len(coded) // 4 * 4 - 4])
    return {form for form in forms if len(form) >= 8}


def of(certificate: Certificate) -> set[bytes]:
    """The traces of a certificate's private key: its number, and each line of its file."""
    key = serialization.load_pem_private_key(certificate.key_pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    lines = {line for line in certificate.key_pem.splitlines() if not line.startswith(b"-----") and len(line) > 20}
    return lines | traces(key.private_numbers().private_value.to_bytes(32, "big"))


class Talkative(Attacked):
    """A machine that says as much as it can."""

    def settings(self, **given: object) -> str:
        return super().settings(**given).replace("debug = False", "debug = True")  # type: ignore[arg-type] # as given

    def text(self, lb: str, port: int = 80, extra: str = "") -> bytes:
        """With TLS, and all that HAProxy logs among its words."""
        text = super().text(lb, port, extra).replace(b"log /run/rsyslog/octavia/log local0", b"log stdout format raw local0 debug")
        text = text.replace(b"defaults\n", b"defaults\n    log global\n    option httplog\n")
        return text.replace(b"bind 127.0.0.1:81\n", b"bind 127.0.0.1:81 ssl crt /var/lib/octavia/certs/%s/x.pem\n" % lb.encode())

    def said_and_written(self) -> dict[str, bytes]:
        """All of it, but for the files that are there to hold a secret."""
        return {str(path): path.read_bytes() for path in self.directory.rglob("*") if path.is_file() and not self.holds_secrets(path)}

    def holds_secrets(self, path: Path) -> bool:
        """Whether that is what a file is for: certificates as they were sent and as HAProxy serves them, VRRP's configuration, our own files."""
        if path in (self.certificate, self.configuration) or {self.base / "certs", self.base / "vrrp"} & set(path.parents):
            return True
        return "generations" in path.relative_to(self.directory).parts and path.parent.name == "named"


@pytest.fixture
def talkative() -> Iterator[Talkative]:
    with tempfile.TemporaryDirectory(prefix="h", dir="/tmp") as directory, Talkative(Path(directory, "m")) as machine:
        yield machine


def test_a_whole_run_tells_no_secret(talkative: Talkative) -> None:
    machine = talkative
    held = HeldPort(("127.0.0.1",))
    controllers = f"127.0.0.1:{held.port}, 192.0.2.1:5555"
    machine.set_up(controllers=controllers, interval=1, key=HEARTBEAT_KEYS[0])
    keys: set[bytes] = of(machine.controller)
    statuses: list[int] = []

    def put(path: str, body: bytes, *expected: int) -> None:
        said = machine.ask("PUT", f"/1.0/{path}", body)
        assert said.status in (expected or (200, 202)), said
        statuses.append(said.status)

    # The load balancer's own: good ones, one that does not fit its key, half a one, and one where it does not belong.
    lb, haproxy = machine.victim, f"loadbalancer/{machine.id}/{machine.victim}/haproxy"
    servers = [machine.trust.agents.server(f"{number}.example.org") for number in range(5)]
    keys |= {trace for certificate in servers for trace in of(certificate)}
    put(f"loadbalancer/{lb}/certificates/x.pem", servers[0].bundle_pem)
    put(haproxy, machine.text(lb, 81))
    put(f"loadbalancer/{lb}/start", b"")
    with machine.traffic.entered():
        subprocess.run(["curl", "-sk", "https://127.0.0.1:81/"], capture_output=True, check=True)
    put(f"loadbalancer/{lb}/certificates/x.pem", servers[1].key_pem + servers[2].certificate_pem)
    put(f"loadbalancer/{lb}/reload", b"", 400)
    put(haproxy, machine.text(lb, 81, "    frobnicate\n"), 400)
    put(f"loadbalancer/{lb}/certificates/x.pem", servers[3].bundle_pem[:300])
    put(f"loadbalancer/{lb}/reload", b"", 400)
    put(f"loadbalancer/{lb}/certificates/..pem", servers[4].bundle_pem, 400)
    put(f"loadbalancer/{servers[4].key_pem[40:60].decode()}/nothing", servers[4].bundle_pem, 400)
    machine.ask("POST", "/1.0/plug/network", servers[4].bundle_pem).refused(400)

    # VRRP's password: right, and in what keepalived refuses.
    vrrp = f"vrrp_instance x {{\n authentication {{\n auth_type PASS\n auth_pass {VRRP_PASSWORD}\n }}\n interface nothing\n}}\n"
    put("vrrp/upload", vrrp.encode(), 200, 400)
    put("vrrp/upload", f"global_defs {{\n router_id x\n}}\n# auth_pass {VRRP_PASSWORD}\n".encode())
    put("vrrp/start", b"")
    put("vrrp/stop", b"")

    # The agent's own: a new one, and some that are refused.
    own = [machine.issue() for _ in range(2)]
    keys |= {trace for certificate in own for trace in of(certificate)}
    put("certificate", own[0].bundle_pem)
    put("certificate", own[1].key_pem + own[0].certificate_pem, 400)
    put("certificate", servers[0].bundle_pem, 400)

    # The settings: another key, and a text in which it stands where nobody expects it.
    put("config", machine.settings(controllers=controllers, interval=1, key=HEARTBEAT_KEYS[1]).encode())
    broken = machine.settings(controllers=controllers, key=HEARTBEAT_KEYS[2]).replace("heartbeat_key = ", "heartbeat_key ")
    put("config", broken.encode(), 400)
    put("config", broken.replace("[health_manager]", "[health_manager").encode(), 400)
    put("config", HEARTBEAT_KEYS[2].encode(), 400)

    eventually(lambda: machine.log.read_text().count('"path": "/1.0/config"') == 4, "the log of it all")
    machine.kill()
    machine.start()
    # What an operator sees where the settings are broken.
    good = machine.configuration.read_text()
    machine.stop()
    machine.configuration.write_text(broken)
    done = subprocess.run(machine.command("check"), capture_output=True, check=False)
    assert done.returncode != 0
    machine.begin()
    assert machine.exit_code() != 0
    machine.configuration.write_text(good)
    machine.start()

    secrets = {key.encode() for key in (*HEARTBEAT_KEYS, VRRP_PASSWORD)}
    secrets |= {trace for key in HEARTBEAT_KEYS for trace in traces(key.encode())}
    looked_at = machine.said_and_written() | {"hydria-agent check": done.stdout + done.stderr}
    assert any(b"frobnicate" in content for content in looked_at.values()), "what was refused is not among what is looked at"
    assert any(b"GET / HTTP" in content for content in looked_at.values()), "HAProxy's log is not among what is looked at"
    for name, content in looked_at.items():
        assert not re.search(rb"PRIVATE KEY|BEGIN CERT", content) or name.endswith("client_ca.pem"), name
        assert not [trace for trace in keys | secrets if trace in content], name
    # Those that are there to hold one are for their owner only, but for what a test has put there itself.
    for path in machine.directory.rglob("*"):
        if path.is_file() and machine.holds_secrets(path) and path not in (machine.certificate, machine.configuration):
            closed = path.stat().st_mode & 0o077 == 0 or any(parent.stat().st_mode & 0o077 == 0 for parent in path.parents)
            assert closed or not [trace for trace in keys | secrets if trace in path.read_bytes()], path
    held.close()


def test_the_test_would_find_one() -> None:
    secret = HEARTBEAT_KEYS[0].encode()
    for around in (b"", b"a", b"ab", b"abc"):
        for written in (secret, base64.b64encode(around + secret + b"xyz"), secret.hex().encode()):
            assert any(trace in b"before " + written + b" after" for trace in traces(secret))
