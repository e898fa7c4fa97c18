"""An agent on a machine of its own, a controller and clients elsewhere: whatever happens to the agent, clients are served."""

from __future__ import annotations

import random
import re
import subprocess
import tempfile
import threading
import time
import uuid
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec
import pytest
from support.agents import BASE, AgentMachine, Cloud, Trust
from support.namespaces import Namespace
from support.polling import eventually

from agent.client import AgentClient
from agent.errors import AgentError, ConflictError, NotFoundError, RejectedByHaproxy
from agent.network.requests import VipPlug
from hydria.lab.backends import HttpBackend
from hydria.lab.client import Answer, fetch

if TYPE_CHECKING:
    from collections.abc import Iterator

MANAGEMENT = "198.51.100.10"
VIP, VIP6 = "192.0.2.100", "2001:db8::100"
VIP_MAC = "fa:16:3e:00:00:01"
PORT = 80
#: Members: enough of them that a configuration with one less is another one.
MEMBERS = ("192.0.2.21", "192.0.2.22")


class Site:
    """A machine with an agent, a controller on its management network; members and clients on the VIP's."""

    def __init__(self, stack: ExitStack, directory: Path) -> None:
        self.directory = directory
        trust = Trust()
        self.cloud = stack.enter_context(Cloud("management", "front"))
        self.controller, self.outside = (stack.enter_context(Namespace(label)) for label in ("controller", "outside"))
        self.cloud.join("management", self.controller, "eth0", "198.51.100.1/24")
        addresses = ("192.0.2.50/24", "2001:db8::50/64", *(f"{member}/24" for member in MEMBERS))
        self.cloud.join("front", self.outside, "eth0", *addresses)
        self.amphora = stack.enter_context(AgentMachine(directory / "a", trust, MANAGEMENT))
        self.cloud.join("management", self.amphora.machine, "eth0", f"{MANAGEMENT}/24")
        self.plug_in()
        self.amphora.configure()
        self.amphora.start()
        ca, certificate = directory / "server_ca.pem", directory / "client.pem"
        ca.write_bytes(trust.agents.certificate_pem)
        certificate.write_bytes(trust.controller().bundle_pem)
        self.client = AgentClient(MANAGEMENT, amphora_id=self.amphora.id, ca=ca, certificate=certificate)
        self.lb, self.listener, self.pool = (str(uuid.uuid4()) for _ in range(3))
        with self.outside.entered():
            self.backends = [stack.enter_context(HttpBackend(f"m{n}", address=member)) for n, member in enumerate(MEMBERS)]

    def plug_in(self) -> None:
        """The hypervisor plugs the VIP's interface in."""
        self.cloud.plug("front", self.amphora.machine, VIP_MAC, "ens7")

    def plug_vip(self) -> str:
        with self.controller.entered():
            return self.client.plug_vip(
                VipPlug.decode(
                    VIP,
                    msgspec.json.encode(
                        {
                            "subnet_cidr": "192.0.2.0/24",
                            "gateway": None,
                            "mac_address": VIP_MAC,
                            "vrrp_ip": "192.0.2.10",
                            "mtu": 1450,
                            "host_routes": [],
                            "additional_vips": [{"ip_address": VIP6, "subnet_cidr": "2001:db8::/64", "gateway": None, "host_routes": []}],
                        }
                    ),
                )
            )

    def text(self, *weights: int, extra: str = "") -> bytes:
        """A configuration as Octavia's controller would send it: these weights for the members."""
        servers = "\n".join(
            f"    server {uuid.uuid5(uuid.UUID(self.pool), str(n))} {backend.address}:{backend.port} weight {weight}"
            for n, (backend, weight) in enumerate(zip(self.backends, weights or (1,) * len(self.backends), strict=True))
        )
        return f"""\
# Configuration for loadbalancer {self.lb}
global
    daemon
    user nobody
    log /run/rsyslog/octavia/log local0
    log /run/rsyslog/octavia/log local1 notice
    stats socket {BASE}/{self.lb}.sock mode 0666 level user
    server-state-file {BASE}/{self.lb}/servers-state
    maxconn 1000000

defaults
    no log
    retries 3
    option redispatch
    option splice-request
    option splice-response
    option http-keep-alive

frontend {self.listener}
    maxconn 50000
    bind {VIP}:{PORT}
    bind {VIP6}:{PORT}
    mode http
    default_backend {self.pool}:{self.listener}
    timeout client 50000
{extra}
backend {self.pool}:{self.listener}
    mode http
    balance roundrobin
    load-server-state-from-file global
    fullconn 50000
    timeout connect 5000
    timeout server 50000
{servers}
""".encode()

    def upload(self, text: bytes | None = None) -> None:
        with self.controller.entered():
            self.client.upload_haproxy(self.lb, self.text() if text is None else text)

    def act(self, action: str) -> str:
        with self.controller.entered():
            return str(getattr(self.client, action)(self.lb))

    def set_up(self) -> None:
        """All that a controller does until the load balancer serves."""
        self.plug_vip()
        self.upload()
        self.act("start")

    def fetch(self, vip: str = VIP) -> Answer:
        with self.outside.entered():
            return fetch((vip, PORT))

    def serves(self) -> bool:
        """Whether both VIPs answer."""
        try:
            return {self.fetch(vip).status for vip in (VIP, VIP6)} == {200}
        except OSError:
            return False

    def haproxies(self) -> set[int]:
        """The ids of the processes of HAProxy."""
        return {each for each in self.amphora.processes() if _command(each) == "haproxy"}


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


@contextmanager
def running_site() -> Iterator[Site]:
    with tempfile.TemporaryDirectory(prefix="h", dir="/tmp") as directory, ExitStack() as stack:
        yield Site(stack, Path(directory))


@pytest.fixture
def site() -> Iterator[Site]:
    with running_site() as made:
        yield made


class Load:
    """wrk's requests, each on a connection of its own, while the block lasts; then `failed`, and `requests` in all."""

    def __init__(self, site: Site, seconds: int) -> None:
        self._site = site
        self._command = ["wrk", "-t1", "-c8", f"-d{seconds}s", "-H", "Connection: close", f"http://{VIP}:{PORT}/"]
        self.requests = self.failed = 0
        self.said = ""

    def __enter__(self) -> Self:
        with self._site.outside.entered():
            self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return self

    def going_on(self) -> bool:
        return self._process.poll() is None

    def __exit__(self, *exception: object) -> None:
        self.said, _ = self._process.communicate(timeout=120)
        found = re.search(r"(\d+) requests in", self.said)
        self.requests = int(found[1]) if found else 0
        errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", self.said)
        answers = re.search(r"Non-2xx or 3xx responses: (\d+)", self.said)
        self.failed = sum(map(int, errors.groups())) if errors else 0
        self.failed += int(answers[1]) if answers else 0


def test_from_the_plug_to_the_deletion(site: Site) -> None:
    assert not site.serves()
    site.plug_vip()
    with pytest.raises(ConflictError):
        site.plug_vip()
    site.upload()
    site.act("start")
    assert site.serves()
    assert {site.fetch().name for _ in range(4)} == {"m0", "m1"}
    site.upload(site.text(1, 0))
    site.act("reload")
    assert {site.fetch().name for _ in range(4)} == {"m0"}
    with pytest.raises(RejectedByHaproxy, match="frobnicate"):
        site.upload(site.text(extra="    frobnicate"))
    assert site.serves()
    with site.controller.entered():
        [listener] = site.client.listeners()
        assert (listener.uuid, listener.status) == (site.listener, "ACTIVE")
        details = site.client.details()
        assert details.haproxy_count == 1
        assert details.listeners == (site.listener,) or list(details.listeners) == [site.listener]
    site.act("stop")
    eventually(lambda: not site.serves(), "the end of the service")
    site.act("start")
    assert site.serves()
    site.act("delete")
    assert not site.serves()
    with site.controller.entered(), pytest.raises(NotFoundError):
        site.client.haproxy_config(site.lb)
    assert site.haproxies() == set()
    assert not list(site.amphora.base.glob(f"**/*{site.lb}*"))


def reload_under_load(site: Site, seconds: int) -> Load:
    """A reload every second, each for something that cannot be done without."""
    site.set_up()
    reloads = 0
    with Load(site, seconds) as load:
        while load.going_on():
            begun = time.monotonic()
            site.upload(site.text(1, 1 + reloads % 5, extra=f"    timeout http-request {50_000 + reloads}\n"))
            done = site.act("reload")
            assert "reloaded" in done, done
            reloads += 1
            time.sleep(max(0.0, 1 - (time.monotonic() - begun)))
    assert reloads >= seconds / 2, "hardly any reload"
    return load


def test_reloads_under_load_fail_no_request(site: Site) -> None:
    load = reload_under_load(site, 8)
    assert load.requests > 100, load.said
    assert load.failed == 0, load.said


@pytest.mark.slow
def test_a_minute_of_reloads_under_load_fails_no_request(site: Site) -> None:
    load = reload_under_load(site, 60)
    assert load.requests > 1000, load.said
    assert load.failed == 0, load.said


def change_and_kill(site: Site, rounds: int) -> None:
    """The agent is killed at random moments of a loop of changes, and started again: clients never notice, and what is there is whole.

    Every other round has changes that need a reload.
    """
    dice = random.Random(7)
    site.set_up()
    failed: list[str] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            try:
                if site.fetch().status != 200:
                    failed.append("another status")
            except OSError as error:
                failed.append(repr(error))
            time.sleep(0.01)

    def changed(number: int, *, reloads: bool) -> bytes:
        return site.text(1, 1 + number % 7, extra=f"    timeout http-request {50_000 + number % 7}\n" if reloads else "")

    possible = {site.text(), *(changed(number, reloads=reloads) for number in range(7) for reloads in (False, True))}

    def change(stop: threading.Event, *, reloads: bool) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            try:
                site.upload(changed(number, reloads=reloads))
                site.act("reload")
            except (AgentError, OSError):
                pass  # it is being killed

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for number in range(rounds):
            stop = threading.Event()
            changing = threading.Thread(target=change, args=(stop,), kwargs={"reloads": number % 2 == 1})
            changing.start()
            time.sleep(dice.uniform(0.05, 1.0))
            site.amphora.kill()
            stop.set()
            changing.join()
            site.amphora.start()
            with site.controller.entered():
                assert site.client.haproxy_config(site.lb) in possible, "a mixture"
    finally:
        done.set()
        asking.join()
    assert failed == []
    site.upload(site.text(0, 1))
    site.act("reload")
    assert {site.fetch().name for _ in range(4)} == {"m1"}
    with site.controller.entered():
        assert [listener.status for listener in site.client.listeners()] == ["ACTIVE"]


def test_the_agent_may_be_killed_at_any_moment(site: Site) -> None:
    change_and_kill(site, 4)


@pytest.mark.slow
def test_the_agent_may_be_killed_very_often(site: Site) -> None:
    change_and_kill(site, 40)


def test_an_agent_that_is_stopped_leaves_everything_running(site: Site) -> None:
    site.set_up()
    before = site.haproxies()
    site.amphora.stop()
    assert site.serves()
    site.amphora.start()
    assert site.haproxies() == before
    assert site.serves()


def test_an_agent_that_starts_finishes_what_the_last_one_could_not(site: Site) -> None:
    site.set_up()
    site.amphora.kill()
    site.amphora.traffic.ip(f"address del {VIP}/32 dev eth1")
    assert not site.serves()
    site.amphora.start()
    eventually(site.serves, "the service")


def test_a_haproxy_that_crashes_comes_back(site: Site) -> None:
    site.set_up()
    before = site.haproxies()
    for each in before:
        subprocess.run(["kill", "-9", str(each)], check=False)
    eventually(site.serves, "the service")
    assert not site.haproxies() & before


def test_after_a_reboot_everything_is_back(site: Site) -> None:
    site.set_up()
    site.amphora.power_off()
    assert not site.serves()
    # The interface that was in the namespace is gone with it; the hypervisor still has it plugged in.
    site.plug_in()
    site.amphora.run_agent("restore")
    eventually(site.serves, "the service")
    site.amphora.start()
    assert site.serves()
    site.upload(site.text(0, 1))
    site.act("reload")
    assert {site.fetch().name for _ in range(4)} == {"m1"}
