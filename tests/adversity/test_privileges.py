"""What the agent may do: with the capabilities of its units it does all its work, and without any one of them it does not.

No systemd runs here. What units say is judged by systemd-analyze; the capabilities are taken away by setpriv, as systemd would.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.agents import Cloud
from support.attacked import Attacked

from agent.options import Options
from agent.settings import Settings
from agent.units import CAPABILITIES, PROGRAMS_CAPABILITIES, unit_texts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent.options import ServicesKind

MAC, VIP, ADDRESS = "fa:16:3e:00:00:01", "192.0.2.100", "192.0.2.10"
PRIVILEGES = (Path(__file__).parents[2] / "docs" / "privileges.md").read_text()


class Confined(Attacked):
    """A machine whose agent has no other capabilities than these."""

    def __init__(self, directory: Path, capabilities: Sequence[str]) -> None:
        super().__init__(directory)
        self._set = ",".join(["-all", *("+" + name.removeprefix("CAP_").lower() for name in capabilities)])

    def command(self, verb: str, *arguments: str) -> list[str]:
        words = super().command(verb, *arguments)
        place = next(number for number, word in enumerate(words) if word.endswith("/hydria-agent"))
        return [*words[:place], "setpriv", "--no-new-privs", f"--bounding-set={self._set}", "--inh-caps=-all", "--", *words[place:]]

    def put(self, path: str, body: bytes = b"") -> None:
        said = self.ask("PUT", f"/1.0/{path}", body)
        assert said.status in (200, 202), said

    def all_of_it(self) -> None:
        """From the start on."""
        self.set_up()
        self.network()
        self.programs()

    def network(self) -> None:
        """All that the agent itself does: the network, files, checks."""
        plug = {"subnet_cidr": "192.0.2.0/24", "gateway": "192.0.2.1", "mac_address": MAC, "vrrp_ip": ADDRESS, "mtu": 1400}
        said = self.ask("POST", f"/1.0/plug/vip/{VIP}", json.dumps(plug).encode())
        assert said.status == 202, said
        assert said.json["details"] == f"VIPs plugged on interface eth1: {VIP}", said
        assert "cannot be announced" not in self.log.read_text()
        self.put(f"interface/{VIP}/rules", json.dumps([{"protocol": "TCP", "cidr": None, "port": 81}]).encode())
        self.put(f"loadbalancer/{self.victim}/certificates/x.pem", b"content")
        self.put(f"loadbalancer/{self.id}/{self.victim}/haproxy", self.text(self.victim, 81))
        self.put("vrrp/upload", self.vrrp())
        self.put("certificate", self.issue().bundle_pem)
        self.put("config", self.settings(interval=11).encode())
        assert self.ask("GET", "/1.0/details").json["networks"].keys() == {"eth1"}

    def programs(self) -> None:
        """What the agent has others do, from the beginning to the end."""
        for action in ("start", "reload", "stop", "start"):
            self.put(f"loadbalancer/{self.victim}/{action}")
        self.put("vrrp/start")
        # HAProxy's worker is nobody; port 80 is the master's doing.
        workers = [pid for pid in self.haproxies() if b"Uid:\t65534" in Path(f"/proc/{pid}/status").read_bytes()]
        assert len(workers) == 1
        self.put("vrrp/stop")
        assert self.ask("DELETE", f"/1.0/listeners/{self.victim}").status == 200

    def vrrp(self) -> bytes:
        """A configuration as Octavia's: a check script that nobody runs, and an address."""
        return f"""\
vrrp_script check {{
    script /bin/true
    interval 1
    user nobody nogroup
}}
vrrp_instance x {{
    state BACKUP
    interface eth1
    virtual_router_id 1
    virtual_ipaddress {{
        {VIP}
    }}
    track_script {{
        check
    }}
}}
""".encode()


@contextmanager
def confined(capabilities: Sequence[str]) -> Iterator[Confined]:
    with (
        tempfile.TemporaryDirectory(prefix="h", dir="/tmp") as directory,
        Cloud("front") as cloud,
        Confined(Path(directory, "m"), capabilities) as machine,
    ):
        cloud.plug("front", machine.machine, MAC, "ens7")
        yield machine


def test_with_the_capabilities_of_its_unit_the_agent_can_do_its_work() -> None:
    with confined(CAPABILITIES) as machine:
        machine.configure()
        machine.start()
        machine.network()


def test_where_it_starts_programs_it_needs_some_more() -> None:
    with confined((*CAPABILITIES, *PROGRAMS_CAPABILITIES)) as machine:
        machine.all_of_it()
        machine.stop()
        machine.start()
        machine.unharmed()


@pytest.mark.slow
@pytest.mark.parametrize("missing", sorted({*CAPABILITIES, *PROGRAMS_CAPABILITIES} - {"CAP_SYS_RESOURCE"}))
def test_none_of_them_is_there_for_nothing(missing: str) -> None:
    # Containers have no CAP_SYS_RESOURCE, so only on a machine of one's own could it be missed.
    others = [name for name in (*CAPABILITIES, *PROGRAMS_CAPABILITIES) if name != missing]
    with confined(others) as machine, pytest.raises((AssertionError, OSError)):
        machine.all_of_it()


def units(directory: Path, services: ServicesKind) -> dict[str, Path]:
    conf = directory / "amphora-agent.conf"
    options = Options(conf, f"{directory.name}-ns", directory / "run", directory / "state", services, directory / "units")
    settings = Settings(
        base_path=directory / "base",
        base_cert_dir=directory / "base" / "certs",
        agent_server_network_dir=directory / "interfaces",
        agent_server_cert=directory / "server.pem",
    )
    for name, text in unit_texts(options, settings, Path("/bin/true")).items():
        (directory / name).write_bytes(text)
    return {path.name: path for path in directory.glob("*.service")}


@pytest.mark.parametrize("services", ["systemd", "supervised"])
def test_systemd_has_nothing_to_say_against_the_units(tmp_path: Path, services: ServicesKind) -> None:
    made = units(tmp_path, services)
    assert made.keys() == {"hydria-agent.service", "hydria-restore.service", "hydria-namespace.service"}
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *made.values()], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    for name, unit in made.items():
        judged = subprocess.run(["systemd-analyze", "security", "--offline=true", unit], capture_output=True, text=True, check=False)
        [score] = re.findall(r"exposure level for \S+: (\S+)", judged.stdout)
        [told] = re.findall(rf"^\| `{name}` \| {services} \| (\S+) \|$", PRIVILEGES, re.MULTILINE)
        # Newer systemd judges more; worse than what is written down it must not become.
        assert float(score) <= float(told)


def test_the_namespace_and_the_directories_are_made_before_the_agent_is_shut_in(tmp_path: Path) -> None:
    made = units(tmp_path, "systemd")
    text = made["hydria-agent.service"].read_text()
    before = made["hydria-namespace.service"].read_text()
    for shut_in in (text, made["hydria-restore.service"].read_text()):
        assert re.search(r"^Requires=hydria-namespace.service$", shut_in, re.MULTILINE)
        assert re.search(r"^After=.*hydria-namespace.service", shut_in, re.MULTILINE)
    # What gives a unit a file system of its own, where nobody else would see the namespace's name.
    assert not re.search(r"^(Private|ReadWrite|InaccessiblePaths|ReadOnly|BindPaths|Protect(?!Clock)|TemporaryFile)", before, re.MULTILINE)
    [line] = re.findall(r"^ExecStart=(.*)$", before, re.MULTILINE)
    command = [word.replace("$$", "$") for word in shlex.split(line)]
    name = f"{tmp_path.name}-ns"
    try:
        for _ in range(2):
            subprocess.run(command, check=True, capture_output=True)
        # Before that the kernel takes no members of virtual servers there (EINVAL), and keepalived does not offer them again.
        assert "UP" in subprocess.run(["ip", "-n", name, "link", "show", "lo"], check=True, capture_output=True, text=True).stdout
        [writable] = re.findall(r"^ReadWritePaths=(.*)$", text, re.MULTILINE)
        assert all(Path(path).is_dir() for path in shlex.split(writable))
        assert {str(tmp_path)} == set(shlex.split(writable)), "one is within another"
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


def test_every_capability_is_explained() -> None:
    assert set(re.findall(r"^\| `(CAP_\w+)`", PRIVILEGES, re.MULTILINE)) == {*CAPABILITIES, *PROGRAMS_CAPABILITIES}
