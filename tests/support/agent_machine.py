"""A machine for the agent's network, made of namespaces: `root` is where its interfaces appear, the hypervisor plugs cables into it."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from agent.clock import Clock, SystemClock
from agent.network.network import Network
from agent.network.requests import NetworkPlug, Rule, VipPlug
from agent.paths import Paths
from agent.processes import LocalRunner

from .namespaces import Namespace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MACS = [f"fa:16:3e:00:00:{number:02x}" for number in range(16)]
GATEWAY4, GATEWAY6 = "192.0.2.1", "2001:db8::1"
VIP4, VRRP4 = "192.0.2.10", "192.0.2.20"
VIP6, VRRP6 = "2001:db8::10", "2001:db8::20"


class Inside(Namespace):
    """A namespace that somebody else makes."""

    def __init__(self, name: str) -> None:
        self.label = self.name = name

    def __enter__(self) -> Self:
        return self


class Machine:
    """The amphora. `inside` is the namespace that the agent makes; all calls come from `root`, as the agent's own do."""

    def __init__(self, root: Namespace, hypervisor: Namespace, directory: Path, clock: Clock) -> None:
        self.root = root
        self.hypervisor = hypervisor
        self.inside = Inside(f"{root.name}-amphora")
        self.paths = Paths(directory / "base", directory / "certs", directory / "interfaces", directory / "run", directory / "state")
        self.pci_rescan = directory / "pci-rescan"
        self.network = Network(self.inside.name, self.paths, LocalRunner(), clock, pci_rescan=self.pci_rescan)
        self._cables = 0

    def cable(self, mac: str, *addresses: str) -> str:
        """Plugs a cable whose end with `mac` appears in the machine; the name of the hypervisor's end, which has these addresses."""
        self._cables += 1
        end = f"tap{self._cables}"
        self.hypervisor.ip(f"link add {end} type veth peer name ens{self._cables} netns {self.root.name} address {mac}")
        self.hypervisor.ip(f"link set {end} up")
        for address in addresses:
            self.hypervisor.ip(f"address add {address} dev {end}")
        return end

    def plug_vip(self, vip: str = VIP4, *, active_standby: bool = False, **body: Any) -> str:
        with self.root.entered():
            return self.network.plug_vip(vip_plan(vip, **body), active_standby=active_standby)

    def plug_network(self, mac: str, *fixed_ips: dict[str, Any], active_standby: bool = False, **body: Any) -> str:
        plan = NetworkPlug.decode(json.dumps({"mac_address": mac, "fixed_ips": fixed_ips, **body}).encode())
        with self.root.entered():
            return self.network.plug_network(plan, active_standby=active_standby)

    def set_rules(self, interface: str, *rules: tuple[str, str | None, int]) -> None:
        text = json.dumps([{"protocol": protocol, "cidr": cidr, "port": port} for protocol, cidr, port in rules])
        with self.root.entered():
            self.network.set_rules(interface, Rule.decode_all(text.encode()))

    def restore(self) -> None:
        with self.root.entered():
            self.network.restore()

    def reboot(self, *lost: str) -> None:
        """The namespace is gone, the interfaces are in the root namespace again, with other names; those `lost` are not there at all."""
        names = [shown["ifname"] for shown in self.inside.ip_json("link show type veth")]
        for number, name in enumerate(names):
            self.inside.ip(f"link set {name} down")
            if name not in lost:
                self.inside.ip(f"link set {name} netns {self.root.name} name new{number}")
        self.inside.close()

    def placed(self, interface: str) -> set[str]:
        """The addresses with their prefixes, but for link-local ones and such as cannot be used."""
        [shown] = self.inside.ip_json(f"address show dev {interface}")
        return {
            f"{found['local']}/{found['prefixlen']}"
            for found in shown["addr_info"]
            if found["scope"] == "global" and not found.get("tentative") and not found.get("dadfailed")
        }

    def routes(self, table: str = "main") -> set[str]:
        """The routes that are not the kernel's own, as `ip` shows them, without what tells nothing."""
        lines = [line for family in "46" for line in self.run_anyway(f"ip -{family} route show table {table}").splitlines()]
        noise = (" proto 72", " scope link", " metric 1024", " pref medium", " onlink")
        found = {line for line in lines if "proto kernel" not in line}
        for word in noise:
            found = {line.replace(word, "") for line in found}
        return {line.strip() for line in found}

    def rules(self) -> set[str]:
        """The rules that are not the kernel's own."""
        lines = [line for family in "46" for line in self.inside.ip(f"-{family} rule show").splitlines()]
        return {" ".join(line.split()[1:]) for line in lines if not line.startswith(("0:", "3276"))}

    def run_anyway(self, command: str) -> str:
        """What a program says, also when it fails: `ip` does for a table that nobody has used."""
        return self.inside.run("sh", "-c", f"{command} 2>/dev/null || true")


def vip_plan(vip: str = VIP4, **body: Any) -> VipPlug:
    four = {"subnet_cidr": "192.0.2.0/24", "gateway": GATEWAY4, "vrrp_ip": VRRP4}
    six = {"subnet_cidr": "2001:db8::/64", "gateway": GATEWAY6, "vrrp_ip": VRRP6}
    return VipPlug.decode(vip, json.dumps({"mac_address": MACS[1], **(six if ":" in vip else four), **body}).encode())


def fixed(address: str, subnet: str, **more: Any) -> dict[str, Any]:
    return {"ip_address": address, "subnet_cidr": subnet, **more}


@contextmanager
def machine_in(directory: Path, clock: Clock | None = None) -> Iterator[Machine]:
    """A machine, with the agent's files in a directory."""
    with Namespace("root") as root, Namespace("hypervisor") as hypervisor:
        machine = Machine(root, hypervisor, directory, clock or SystemClock())
        try:
            yield machine
        finally:
            if machine.inside.name in root.run("ip", "netns", "list").split():
                machine.inside.close()
