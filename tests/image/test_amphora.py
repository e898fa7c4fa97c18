"""One machine of the image, from its first boot on: what it is, what it carries, and that all of it comes back by itself."""

from __future__ import annotations

import re
import socket
import ssl
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import pytest
from site_around import SERVER_NAME, VIP, Sctp, Site
from support.guests import HOST, Guest
from support.machines import BOOTING, PORT
from support.polling import eventually

from agent.heartbeat.message import SIGNATURE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.agents import Trust

pytest_plugins = ["image_fixtures"]

pytestmark = pytest.mark.slow

MACS = [f"fa:16:3e:11:11:{number:02x}" for number in range(1, 5)]


class Amphora:
    """The machine and all around it."""

    def __init__(self, guest: Guest, site: Site, health_manager: socket.socket, seconds: float) -> None:
        self.guest, self.site, self.health_manager, self.seconds = guest, site, health_manager, seconds
        self.busy = guest.processor_seconds()
        self.sctp = Sctp(guest, MACS[2], MACS[3])

    def carries(self) -> dict[str, object]:
        """What each kind of client gets."""
        seen: dict[str, object] = {}
        for name, look in (("http", self.site.http), ("https", self.site.https), ("udp", self.site.udp), ("sctp", self.sctp.ask)):
            try:
                seen[name] = look()
            except (OSError, ssl.SSLError) as error:
                seen[name] = repr(error)
        return seen

    def carries_all(self, patience: float = 180.0) -> None:
        wanted = {"http": 200, "https": 200, "udp": b"udp member", "sctp": "sctp member"}
        seen: dict[str, object] = {}
        ends = time.monotonic() + patience
        while (seen := self.carries()) != wanted:
            assert time.monotonic() < ends, f"{seen}\n{self.guest.shell.run('journalctl -b --no-pager -n 100')}"


@pytest.fixture(scope="module")
def amphora(emulated: Path, trust: Trust, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Amphora]:
    """Booted, with its agent answering and nothing on it."""
    with ExitStack() as stack:
        health_manager = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        health_manager.bind(("127.0.0.1", 0))
        health_manager.settimeout(60)
        controllers = f"{HOST}:{health_manager.getsockname()[1]}"
        site = Site(stack, trust)
        guest = stack.enter_context(Guest(tmp_path_factory.mktemp("amphora"), emulated, trust, "amphora", controllers=controllers))
        begun = time.monotonic()
        guest.wait_for_agent()
        yield Amphora(guest, site, health_manager, time.monotonic() - begun)


@pytest.fixture(scope="module")
def balancing(amphora: Amphora) -> Amphora:
    """With its NICs and a load balancer of all kinds of listeners."""
    site, guest = amphora.site, amphora.guest
    assert "eth1" in site.plug_vip(guest, MACS[0], "192.0.2.20")
    site.plug_members(guest, MACS[1], "10.0.0.20")
    amphora.sctp.plug(site.cloud)
    amphora.sctp.start()
    network = {"networks": [{"address": VIP, "cidr": "192.0.2.0/24"}]}
    guest.ask(lambda client: client.put_loadbalancer(site.lb, site.graph(), site.secrets(), target=network))
    return amphora


def test_the_first_boot_is_whole(amphora: Amphora) -> None:
    amphora.guest.wait_until_settled()
    shell = amphora.guest.shell
    assert shell.try_run("systemctl is-system-running")[1].strip() == "running", shell.run("systemctl --failed --no-pager")
    assert shell.run("cat /var/lib/hydria/instance") == amphora.guest.id
    assert shell.run("hostname").strip() == f"amphora-{amphora.guest.id}"
    for path in amphora.guest.files:
        assert shell.run(f"stat -c '%a %U' {path}").strip() == "600 root"


def test_keys_and_settings_are_encrypted_at_rest(amphora: Amphora) -> None:
    assert "not encrypted" not in amphora.guest.console()
    for path in ("/etc/octavia", "/etc/octavia/certs/server.pem", "/var/lib/octavia"):
        assert "E" in amphora.guest.shell.run(f"lsattr -d {path}").split()[0]


def test_strangers_are_refused(amphora: Amphora) -> None:
    context = ssl.create_default_context(cadata=amphora.site.trust.agents.certificate_pem.decode())

    with (
        amphora.guest.reached() as place,
        socket.create_connection(place, 60) as plain,
        context.wrap_socket(plain, server_hostname=amphora.guest.id) as wrapped,
        pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"),
    ):
        # In TLS 1.3 a client learns only when it reads that it is not wanted. Nothing is sent before, which might cross the refusal.
        wrapped.recv(100)


def test_the_agent_knows_its_machine(amphora: Amphora) -> None:
    info = amphora.guest.ask(lambda client: client.info())
    assert info.hostname == f"amphora-{amphora.guest.id}"
    assert info.haproxy_version.startswith(("3.", "2.6"))


def test_nobody_can_log_in_and_nothing_else_listens(amphora: Amphora) -> None:
    shell = amphora.guest.shell
    listening = {line.split()[3].rpartition(":")[2] for line in shell.run("ss -Hltn").splitlines()}
    assert listening == {str(PORT)}
    # The clients of DHCP.
    assert {line.split()[3].rpartition(":")[2] for line in shell.run("ss -Hlun").splitlines()} <= {"68", "546"}
    assert not re.findall(r"^[^:]+:[^!*:]", shell.run("cat /etc/shadow"), re.MULTILINE)
    assert "no" in shell.try_run("command -v sshd || echo no")[1]
    assert "agetty" not in shell.run("cat /proc/[0-9]*/comm 2>/dev/null || true")


def test_nothing_of_the_builder_is_left(amphora: Amphora) -> None:
    shell = amphora.guest.shell
    assert set(re.findall(r"https?://([^/ ]+)", shell.run("cat /etc/apt/sources.list.d/*"))) == {"deb.debian.org", "security.debian.org"}
    for program in ("gcc", "cc", "pip", "pip3", "make"):
        assert shell.try_run(f"command -v {program}")[0] != 0, program
    assert shell.run("ls /opt/hydria/lib/python3*/site-packages | grep -ciE '^(pip|cython|setuptools)$' || true").strip() == "0"
    assert shell.run("find /etc/dib-manifests /usr/share/man /usr/share/info -type f 2>/dev/null | head; true") == ""


def test_the_disk_cannot_be_filled_by_logs(amphora: Amphora) -> None:
    shell = amphora.guest.shell
    assert shell.run("findmnt -no TARGET --target /var/log").strip() == "/var/log"
    assert "nosuid" in shell.run("findmnt -no OPTIONS /var/log")
    assert shell.run("findmnt -no TARGET --target /var/lib/octavia").strip() != "/var/log"


def test_all_kinds_of_listeners_carry_traffic(balancing: Amphora) -> None:
    balancing.carries_all()
    shell = balancing.guest.shell
    assert "192.0.2.10" in balancing.guest.ip("address show dev eth1")
    assert SERVER_NAME not in shell.run("journalctl -b --no-pager -u 'haproxy*'")


def test_figures(balancing: Amphora, image: Path) -> None:
    """Those of docs/image.md; also written down beside the image."""
    balancing.guest.wait_until_settled()
    shell = balancing.guest.shell
    meminfo = {name: int(kilobytes) for name, kilobytes in re.findall(r"^(\w+): +(\d+) kB", shell.run("cat /proc/meminfo"), re.MULTILINE)}
    used = (meminfo["MemTotal"] - meminfo["MemAvailable"]) / 1024
    size = image.stat().st_size / 1e6
    judged = shell.run("systemd-analyze security --no-pager | grep -E 'hydria|haproxy|keepalived|UNIT'")
    told = {
        "size of the image, MB": f"{size:.0f}",
        "memory in use with a load balancer, MiB": f"{used:.0f}",
        "seconds from power-on to the agent's answer, here, emulated": f"{balancing.seconds:.0f}",
        "of which a processor was busy": f"{balancing.busy:.0f}",
        "seconds of the machine's own time": shell.run("systemd-analyze").strip(),
        "packages": shell.run("dpkg-query --show | wc -l").strip(),
        "sockets": shell.run("ss -Hlntu"),
        "systemd-analyze security": judged,
        "disk": shell.run("df -h / /var/log"),
        "processes": shell.run("awk '/^Name:/ {name = $2} /^VmRSS:/ {print $2, name}' /proc/[0-9]*/status | sort -rn | head -15"),
    }
    image.with_name(f"{image.name}.figures").write_text("".join(f"{name}: {text}\n" for name, text in told.items()))
    assert size < 220
    assert used < 160


def test_heartbeats_come(balancing: Amphora) -> None:
    datagram = balancing.health_manager.recv(65535)
    assert len(datagram) > SIGNATURE


def test_after_a_reboot_all_comes_back_by_itself(balancing: Amphora) -> None:
    balancing.carries_all()
    guest = balancing.guest
    before = guest.shell.run("cat /proc/sys/kernel/random/boot_id")
    guest.shell.run("systemctl reboot --no-block")
    guest.forget_shell()
    eventually(lambda: _boot(guest) not in ("", before), "another boot", BOOTING)
    balancing.sctp.start()
    balancing.carries_all()
    balancing.guest.wait_until_settled()
    shell = guest.shell
    assert shell.try_run("systemctl is-system-running")[1].strip() == "running", shell.run("systemctl --failed --no-pager")
    guest.wait_for_agent()
    assert guest.ask(lambda client: client.loadbalancers()) == [balancing.site.lb]


def _boot(guest: Guest) -> str:
    """The id of the boot that a shell is in."""
    with suppress(OSError, AssertionError):
        return guest.shell.run("cat /proc/sys/kernel/random/boot_id", 60.0)
    guest.forget_shell()
    return ""


def test_the_power_button_switches_it_off(balancing: Amphora) -> None:
    guest = balancing.guest
    balancing.guest.wait_until_settled()
    guest.press_power_button()
    guest.power_on()
    guest.wait_for_agent()
    balancing.sctp.start()
    balancing.carries_all()
