"""The power goes at any moment of any change: what the next boot serves is the old or the new, whole; and what was answered stays."""

from __future__ import annotations

import hashlib
import json
import random
import socket
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from support.changing import shown
from support.direct import AMPHORA, Direct, body, write_settings
from support.namespaces import Namespace
from support.power_cut import Disk, State, read, recorded, write
from support.programs import kill_everything

from agent.apply import files_of
from agent.certificates import Certificates
from agent.errors import AgentError
from agent.generations import digest_of_generation
from agent.haproxy import Haproxy
from agent.network.namespaces import entered
from agent.paths import Paths
from hydria.lab.certificates import Authority

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
LB = "5f2b3c1d-9a8e-4c7b-8d6f-0e1a2b3c4d5e"
LISTENER = "0b1c2d3e-4f5a-4b6c-8d7e-9f0a1b2c3d4e"
UDP = "1b1c2d3e-4f5a-4b6c-8d7e-9f0a1b2c3d4e"
PEM = "web.pem"

# The agent that is recorded: in a process of its own, its first thread does all.
CHANGE = """
import sys
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/tests", sys.argv[1] + "/tests/real"]
import test_power_cut
test_power_cut.change(*sys.argv[2:])
"""


def graph(weight: int, *, port: int = 8080, certificate: str | None = None, udp: bool = False) -> dict[str, Any]:
    members = [{"id": f"5eed0000-0000-4000-8000-00000000000{n}", "address": f"192.0.2.{n}", "protocol_port": 80} for n in (1, 2)]
    members[0]["weight"] = weight
    pool = {"name": "pool", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN", "members": members[: 1 + weight % 2]}
    web = {"id": LISTENER, "name": "web", "protocol": "HTTP", "protocol_port": port, "connection_limit": 100, "default_pool": pool}
    if certificate:
        web |= {"protocol": "TERMINATED_HTTPS", "default_tls_container_ref": "certificate"}
    listeners = [web, {"id": UDP, "name": "udp", "protocol": "UDP", "protocol_port": 53, "allowed_cidrs": ["192.0.2.0/24"]}]
    return {"name": "lb", "vip_address": "127.0.0.1", "listeners": listeners if udp else listeners[:1]}


def text(paths: Paths, weight: int, *, port: int = 8080, certificate: bool = False) -> bytes:
    """A configuration as a controller of the 1.0 contract sends it."""
    crt = f" ssl crt {paths.certificate(LB, PEM)}" if certificate else ""
    return f"""\
global
    maxconn 100
    stats socket {paths.stats_socket(LB)} mode 0666 level user
    server-state-file {paths.servers_state(LB)}
defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
    load-server-state-from-file global
frontend {LISTENER}
    bind 127.0.0.1:{port}{crt}
    default_backend pool
backend pool
    server a 192.0.2.1:80 weight {weight}
""".encode()


class Story(NamedTuple):
    """What is there first, and what is done then, with two certificates at hand.

    `trial`: it is taken back where nobody confirms it. `in_place`: certificates are where their controller puts them, so that a boot between
    that and the reload serves the new ones with the old configuration.
    """

    before: Callable[[Direct, list[str]], object]
    then: Callable[[Direct, list[str]], object]
    trial: bool = False
    in_place: bool = False


def put(weight: int, *, within: float | None = None, certificate: int | None = None, **more: Any) -> Callable[[Direct, list[str]], object]:
    def act(agent: Direct, certificates: list[str]) -> object:
        pem = None if certificate is None else certificates[certificate]
        return agent.graphs.put(LB, body(graph(weight, certificate=pem, **more), {"certificate": pem} if pem else {}), None, within)

    return act


def serve(weight: int, *, certificate: int | None = None, **more: Any) -> Callable[[Direct, list[str]], object]:
    """By the 1.0 contract."""

    def act(agent: Direct, certificates: list[str]) -> object:
        if certificate is not None:
            Certificates(agent.paths, agent.haproxies.locks).put(LB, PEM, certificates[certificate].encode())
        agent.haproxies.upload(AMPHORA, LB, text(agent.paths, weight, certificate=certificate is not None, **more))
        return agent.haproxies.reload(LB)

    return act


def several(*acts: Callable[[Direct, list[str]], object]) -> Callable[[Direct, list[str]], object]:
    return lambda agent, certificates: [act(agent, certificates) for act in acts]


def nothing(_agent: Direct, _certificates: list[str]) -> None:
    """As on a new machine."""


STORIES = {
    "commands": Story(put(2), put(3)),
    "a reload": Story(put(2), put(2, port=8081)),
    "the oldest goes": Story(several(*(put(weight) for weight in range(2, 13))), put(13)),
    "rolling back": Story(several(put(2), put(3, port=8081)), lambda agent, _: agent.graphs.rollback(LB)),
    "a certificate": Story(put(2, certificate=0), put(2, certificate=1)),
    "the first": Story(nothing, put(2)),
    "the deletion": Story(put(2, udp=True), lambda agent, _: agent.graphs.delete(LB)),
    "a trial": Story(put(2), put(3, within=3600), trial=True),
    "a UDP listener": Story(put(2), put(2, udp=True)),
    "1.0, the first": Story(nothing, serve(2)),
    "1.0, commands": Story(serve(2), serve(3)),
    "1.0, a reload": Story(serve(2), serve(2, port=8081)),
    "1.0, a certificate": Story(serve(2, certificate=0), serve(2, certificate=1), in_place=True),
    "1.0, the deletion": Story(serve(2, certificate=0), lambda agent, _: agent.haproxies.delete(LB)),
}


class Machine:
    """Its disk is below `root`, but for `run`, which is in memory."""

    def __init__(self, root: Path, namespace: str, haproxy: Haproxy) -> None:
        self.root, self.run = root, root / "run"
        self.namespace = namespace
        self.haproxy = haproxy
        self.paths = Paths(root / "octavia", root / "octavia" / "certs", root / "interfaces", self.run, root / "state")
        self.settings = root / "amphora-agent.conf"

    def agent(self) -> Direct:
        return Direct(self.paths, self.namespace, self.haproxy, self.settings)


def change(root: str, namespace: str, name: str, certificates: str) -> None:
    """What is recorded."""
    agent = Machine(Path(root), namespace, Haproxy.find()).agent()
    agent.services.restore()
    STORIES[name].then(agent, json.loads(certificates))


#: What there is: the digest of what would be loaded, and what HAProxy shows of itself; None for nothing.
Serving = tuple[str, dict[str, Any]] | None


class Cuts:
    """A story on a machine: what may be on its disk after each call."""

    def __init__(self, machine: Machine, name: str) -> None:
        self.machine = machine
        self.name = name
        authority = Authority()
        self.certificates = [authority.server("web.example").bundle_pem.decode() for _ in range(2)]
        self.old: Serving = None
        if STORIES[name].before is not nothing:
            agent = machine.agent()
            STORIES[name].before(agent, self.certificates)
            self.old = self.serving(agent)
            agent.services.close()
        disk = Disk(machine.root, machine.run)
        with tempfile.TemporaryDirectory() as directory:
            script = [sys.executable, "-c", CHANGE, str(ROOT), str(machine.root), machine.namespace, name, json.dumps(self.certificates)]
            calls = recorded(script, Path(directory, "trace"), machine.root, machine.run)
        agent = machine.agent()
        self.new = self.serving(agent)
        agent.services.close()
        kill_everything(machine.paths)
        assert calls, "nothing was recorded"
        self.after: list[list[State]] = []
        dice = random.Random(name)
        for call in calls:
            disk.play(call)
            self.after.append([disk.least(), *(disk.some(dice) for _ in range(4))])
        played, there = disk.now(), read(machine.root, machine.run)
        differ = {place for place in played.keys() | there.keys() if played.get(place) != there.get(place)}
        assert differ == set(), "something was done that was not recorded"

    def serving(self, agent: Direct) -> Serving:
        generations = agent.haproxies.generations(LB)
        if not generations.exists():
            return None
        loading = generations.loading
        assert digest_of_generation(loading.files(), loading.about.named) == loading.about.digest, "not whole"
        return loading.about.digest, shown(agent.haproxies.stats(LB), files_of(loading))

    def boot(self, state: State, *, answered: bool) -> None:
        """The machine starts with this on its disk."""
        machine = self.machine
        write(state, machine.root, machine.run)
        agent = machine.agent()
        try:
            assert agent.restore() == []
            self.judge(agent, answered=answered)
            # Nothing that was left over is in the way of what comes next.
            name = self.name
            if STORIES[name].before is not nothing:
                STORIES[name].before(agent, self.certificates)
            STORIES[name].then(agent, self.certificates)
            after = self.serving(agent)
            assert (after and after[0]) == (self.new and self.new[0]) or after == self.new
        finally:
            agent.services.close()
            kill_everything(machine.paths)

    def judge(self, agent: Direct, *, answered: bool) -> None:
        haproxies, graphs = agent.haproxies, agent.graphs
        generations = haproxies.generations(LB)
        if not generations.exists() or (self.old is None and not haproxies.process(LB).wanted()):
            assert None in self.allowed(answered=answered)
            assert haproxies.status(LB) == "OFFLINE"
            assert not self.answers(agent, 8080)
            return
        found = self.serving(agent)
        assert found in self.allowed(answered=answered)
        assert not generations.undecided()
        assert haproxies.loadbalancers() == [LB]
        assert haproxies.status(LB) == "ACTIVE"
        status = graphs.status(LB)
        assert (status.state, status.generation) == ("ACTIVE", generations.loading.number)
        assert [one.state for one in graphs.history(LB)].count("serving") == 1
        current = generations.linked("current")
        assert current is not None
        if current.has("graph.json"):
            listener = json.loads(graphs.graph(LB)[0])["loadbalancer"]["listeners"][0]
            assert self.answers(agent, listener["protocol_port"])
            if STORIES[self.name].trial and found == self.new:
                assert graphs.confirm(LB).back_to == 1

    def allowed(self, *, answered: bool) -> list[Serving]:
        if answered:
            return [self.new]
        between = [(self.old[0], self.new[1])] if STORIES[self.name].in_place and self.old and self.new else []
        return [self.old, self.new, *between]

    @staticmethod
    def answers(agent: Direct, port: int) -> bool:
        try:
            with entered(agent.namespace), socket.create_connection(("127.0.0.1", port), timeout=5):
                return True
        except ConnectionRefusedError:
            return False


@contextmanager
def machine_with(haproxy: Haproxy) -> Iterator[Machine]:
    # Not pytest's: a UNIX socket's path must be short.
    with tempfile.TemporaryDirectory(prefix="h", dir="/tmp") as directory, Namespace("amphora") as namespace:
        Path(directory).chmod(0o755)
        machine = Machine(Path(directory), namespace.name, haproxy)
        write_settings(machine.root, machine.paths, haproxy.binary)
        try:
            yield machine
        finally:
            kill_everything(machine.paths)


def survive(name: str, most: int | None) -> int:
    """Boots with each disk that there may be, `most` of them by chance; how many there are."""
    with machine_with(Haproxy.find()) as machine:
        cuts = Cuts(machine, name)
        states: dict[str, tuple[State, int]] = {}
        # A state that is possible at the end, where all was answered, is judged as one of the end; that in which least is safe comes last.
        for number, (least, *others) in enumerate(cuts.after, 1):
            for state in (*others, least):
                key = hashlib.sha256(repr(sorted(state.items())).encode()).hexdigest()
                states.pop(key, None)
                states[key] = state, number
        chosen = list(states.values())
        if most is not None and most < len(chosen):
            chosen = [chosen[-1], *random.Random(0).sample(chosen[:-1], most - 1)]
        for state, number in chosen:
            try:
                cuts.boot(state, answered=number == len(cuts.after))
            except (AssertionError, AgentError, OSError) as error:
                listed = "\n".join(f"{place} {content!r:.60}" for place, (content, _) in state.items())
                raise AssertionError(f"after call {number} of {len(cuts.after)}: {error}\n{listed}") from error
        return len(states)


@pytest.mark.parametrize("name", ["commands", "a reload", "the first", "the deletion", "1.0, a certificate"])
def test_a_power_cut_leaves_the_old_or_the_new(name: str) -> None:
    assert survive(name, 3) > 10


@pytest.mark.slow
@pytest.mark.parametrize("name", STORIES)
def test_a_power_cut_after_any_call_leaves_the_old_or_the_new(name: str) -> None:
    assert survive(name, None) > 10
