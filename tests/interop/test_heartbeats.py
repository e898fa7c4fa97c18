"""A real HAProxy, its heart, and Octavia's health manager: what its database says is what is so, and the bytes are those that clients moved."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from health_manager import HealthManager
from support.graphs import listener, pool
from support.polling import eventually
from support.serving import serve

from agent.heartbeat.heart import Heart
from agent.paths import Paths
from agent.settings import LiveSettings
from agent.stats_socket import MasterSocket
from hydria.lab.backends import EchoBackend
from hydria.lab.client import Connection

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from health_manager import State
    from support.serving import Serving

    from agent.haproxy import Haproxy
    from agent.settings import Endpoint

KEY = "a key of some length"
AMPHORA = "5eed0000-0000-4000-8000-00000000a001"
MONITOR = {"type": "TCP", "delay": 2, "timeout": 1, "max_retries": 1, "max_retries_down": 1}


def settings_file(*controllers: Endpoint, key: str = KEY, interval: int = 1) -> bytes:
    return (
        f"[health_manager]\ncontroller_ip_port_list = {', '.join(map(str, controllers))}\nheartbeat_key = {key}\n"
        f"heartbeat_interval = {interval}\n[amphora_agent]\namphora_id = {AMPHORA}\n"
    ).encode()


class Beating:
    """A load balancer that runs, with what its heart needs. Beats come when a test wants them."""

    def __init__(self, serving: Serving, directory: Path, manager: HealthManager) -> None:
        self.serving = serving
        self.manager = manager
        directory.mkdir(exist_ok=True)
        self.file = directory / "amphora-agent.conf"
        self.file.write_bytes(settings_file(manager.endpoint))
        self.settings = LiveSettings(self.file)
        run = serving.run_directory
        self.paths = Paths(run, directory / "certs", directory / "interfaces", run, directory / "state")
        lb = serving.graph.id
        if not self.paths.master_socket(lb).is_symlink():
            self.paths.master_socket(lb).symlink_to(run / "master.sock")
        self.keepalived_missing = False
        self.heart = self.another_heart()
        graph = serving.graph
        manager.describe(
            AMPHORA, graph.id, [each.id for each in graph.listeners], {each.id: [m.id for m in each.members] for each in graph.pools}
        )
        self.expected = 0

    def another_heart(self) -> Heart:
        return Heart(self.settings, self.paths, lambda: [self.serving.graph.id], lambda: self.keepalived_missing)

    def beat(self) -> State:
        """A beat; what the database says then. Octavia has nothing to complain of."""
        assert self.heart.beat(), self.heart.status()
        self.expected += 1
        state = self.manager.after(self.expected)
        assert state.complaints == []
        return state

    def old_workers(self) -> tuple[int, ...]:
        return MasterSocket(self.paths.master_socket(self.serving.graph.id)).processes().old_workers

    def members(self, state: State) -> dict[str, str]:
        """Member name → operating status."""
        names = {member.id: member.name for part in self.serving.graph.pools for member in part.members}
        return {names[each]: status for each, status in state.status["member"].items()}

    def statistics(self, name: str, state: State) -> dict[str, int]:
        return state.statistics[next(each.id for each in self.serving.graph.listeners if each.name == name)]


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HealthManager]:
    with HealthManager(tmp_path_factory.mktemp("health") / "octavia", KEY) as started:
        yield started


@contextmanager
def beating(haproxy: Haproxy, directory: Path, manager: HealthManager, *backends: EchoBackend) -> Iterator[Beating]:
    listeners, pools = described(*backends)
    with serve(haproxy, listeners, pools) as serving:
        made = Beating(serving, directory, manager)
        try:
            yield made
        finally:
            made.heart.stop()


def described(*backends: EchoBackend, **fields: object) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    return (
        [listener("front", "back", protocol="TCP", **fields), listener("idle", protocol="TCP")],
        [pool("back", *backends, protocol="TCP", healthmonitor=MONITOR)],
    )


class Client:
    """A connection that counts what it moves."""

    def __init__(self, made: Beating) -> None:
        self.connection = Connection(made.serving.address("front"))
        self.sent = self.received = 0

    def talk(self, size: int) -> None:
        line = b"x" * (size - 1) + b"\n"
        self.connection.send(line)
        self.sent += size
        first = self.received == 0
        for _ in range(2 if first else 1):  # an echo server begins with a line about who connected
            self.received += len(self.connection.receive_line())

    def close(self) -> None:
        self.connection.close()


def moved(clients: list[Client]) -> dict[str, int]:
    return {"rx": sum(each.sent for each in clients), "tx": sum(each.received for each in clients), "totconns": len(clients)}


def test_members_that_fail_come_back_and_drain(haproxy: Haproxy, tmp_path: Path, manager: HealthManager) -> None:
    with EchoBackend("a") as a, EchoBackend("b") as b, beating(haproxy, tmp_path, manager, a, b) as made:
        state = made.beat()
        assert made.members(state) == {"a": "ONLINE", "b": "ONLINE"}
        assert set(state.status["listener"].values()) == {"ONLINE"}
        assert set(state.status["load_balancer"].values()) == {"ONLINE"}
        assert state.health is not None
        backend = made.serving.backend_name("back", "front")
        eventually(lambda: made.serving.statuses("back", "front") == {"a": "UP", "b": "UP"}, "both up")
        b.refuse()
        eventually(lambda: made.serving.statuses("back", "front")["b"] == "DOWN", "b down")
        state = made.beat()
        assert made.members(state) == {"a": "ONLINE", "b": "ERROR"}
        assert set(state.status["pool"].values()) == set(state.status["load_balancer"].values()) == {"DEGRADED"}
        a.refuse()
        eventually(lambda: set(made.serving.statuses("back", "front").values()) == {"DOWN"}, "both down")
        state = made.beat()
        assert made.members(state) == {"a": "ERROR", "b": "ERROR"}
        assert set(state.status["pool"].values()) == set(state.status["load_balancer"].values()) == {"ERROR"}
        a.accept()
        b.accept()
        eventually(lambda: made.serving.statuses("back", "front") == {"a": "UP", "b": "UP"}, "both up again")
        name = next(each for each, called in made.serving.member_names("back").items() if called == "a")
        made.serving.process.stats.ask(f"set weight {backend}/{name} 0")
        assert made.members(made.beat()) == {"a": "DRAINING", "b": "ONLINE"}
        made.serving.process.stats.ask(f"set server {backend}/{name} state maint")
        state = made.beat()
        assert made.members(state) == {"a": "OFFLINE", "b": "ONLINE"}
        assert set(state.status["load_balancer"].values()) == {"ONLINE"}


def test_every_byte_is_told_once_through_reloads_restarts_and_other_hearts(
    haproxy: Haproxy, tmp_path: Path, manager: HealthManager
) -> None:
    with EchoBackend("a") as a, beating(haproxy, tmp_path, manager, a) as made:
        clients = [Client(made) for _ in range(3)]
        for each in clients:
            each.talk(1000)
        made.beat()
        clients[0].close()
        eventually(lambda: made.statistics("front", made.beat())["conns"] == 2, "the end of a connection")

        # Two go on through an old worker, which is asked until its end; a new one comes.
        made.serving.reload(*described(a, connection_limit=100))
        clients.append(Client(made))
        for each in clients[1:]:
            each.talk(50_000)
        assert made.statistics("front", made.beat())["conns"] == 3
        assert made.heart.status().old_workers == 1
        clients[1].close()
        made.heart.glance()
        clients[2].talk(7_000)
        clients[2].close()
        # The last connection of the old worker has ended; nothing but the heart keeps it.
        eventually(lambda: made.statistics("front", made.beat())["conns"] == 1, "the end of the old worker")
        made.heart.glance()
        eventually(lambda: not made.old_workers(), "its exit")
        made.heart.glance()
        assert made.heart.status().old_workers == 0

        # Counters that are cleared, a second reload at once, and another heart, which knows what was told.
        made.serving.process.stats.ask("clear counters all")
        clients[3].talk(300)
        made.serving.reload(*described(a, connection_limit=200))
        made.heart.glance()
        clients[3].talk(400)
        clients[3].close()
        eventually(lambda: made.statistics("front", made.beat())["conns"] == 0, "the end of all connections")
        clients.append(Client(made))
        clients[4].talk(50)
        made.heart.stop()
        made.heart = made.another_heart()
        made.beat()
        clients[4].talk(60)
        clients[4].close()
        eventually(lambda: made.statistics("front", made.beat())["conns"] == 0, "the end of its connection")

        # A restart: another master, other workers, counters from zero. What came since the last beat is counted before.
        clients.append(Client(made))
        clients[-1].talk(321)
        clients[-1].close()
        eventually(lambda: made.serving.process.stats.show_info()["CurrConns"] == "0", "the end of its connection")
        made.heart.last_look(made.serving.graph.id)
        made.serving.process.stop(grace=0)
        made.serving.process.start()
        clients.append(Client(made))
        clients[-1].talk(123)
        clients[-1].close()
        wanted = moved(clients)
        eventually(lambda: made.statistics("front", made.beat())["totconns"] >= wanted["totconns"], "the last connection")
        eventually(lambda: made.statistics("front", made.beat())["conns"] == 0, "the end of the last connection")
        told = made.statistics("front", made.beat())
        assert {name: told[name] for name in wanted} == wanted
        assert made.statistics("idle", made.beat()) == {"rx": 0, "tx": 0, "conns": 0, "totconns": 0, "ereq": 0}


def test_old_workers_from_before_the_heart_are_asked_through_the_master(haproxy: Haproxy, tmp_path: Path, manager: HealthManager) -> None:
    with EchoBackend("a") as a, beating(haproxy, tmp_path, manager, a) as made:
        clients = [Client(made), Client(made)]
        for each in clients:
            each.talk(100)
        made.serving.reload(*described(a, connection_limit=100))
        assert made.statistics("front", made.beat())["conns"] == 2
        assert made.heart.status().old_workers == 1
        clients[0].close()
        eventually(lambda: made.statistics("front", made.beat())["conns"] == 1, "the end of one")
        assert made.statistics("front", made.beat())["rx"] == 100
        clients[1].close()
        eventually(lambda: made.old_workers() == (), "the end of the worker")
        assert made.statistics("front", made.beat())["totconns"] == 2


def test_controllers_that_come_go_and_refuse(haproxy: Haproxy, tmp_path: Path, manager: HealthManager) -> None:
    with (
        EchoBackend("a") as a,
        HealthManager(tmp_path / "second", KEY) as second,
        beating(haproxy, tmp_path / "first", manager, a) as made,
    ):
        made.beat()
        graph = made.serving.graph
        second.describe(
            AMPHORA, graph.id, [each.id for each in graph.listeners], {each.id: [m.id for m in each.members] for each in graph.pools}
        )
        made.settings.replace(settings_file(second.endpoint, manager.endpoint))
        for turn in range(4):
            assert made.heart.beat()
            assert len(second.after(turn // 2 + 1).received) == turn // 2 + 1
            made.expected += turn % 2
            assert len(manager.after(made.expected).received) == made.expected
        second.__exit__()
        # What is sent to a controller that has gone comes back, and what it counted is told to the other one.
        client = Client(made)
        client.talk(1000)
        client.close()
        eventually(lambda: made.heart.beat() and made.heart.status().destinations[0].error, "the news that it has gone")
        eventually(
            lambda: made.heart.beat() and made.statistics("front", manager.state())["rx"] == 1000, "the bytes where somebody listens"
        )
        made.settings.replace(settings_file(second.endpoint))
        eventually(lambda: not made.heart.beat(), "nobody listens")
        assert "Connection refused" in str(made.heart.status().silent)
        made.settings.replace(settings_file())
        assert not made.heart.beat()
        assert made.heart.status().silent == "the settings name no controller"


def test_it_beats_by_itself_and_follows_settings_at_once(haproxy: Haproxy, tmp_path: Path, manager: HealthManager) -> None:
    with EchoBackend("a") as a, beating(haproxy, tmp_path, manager, a) as made:
        made.settings.replace(settings_file(manager.endpoint, interval=3600))
        made.heart.start()
        assert manager.after(1).complaints == []
        made.settings.replace(settings_file(manager.endpoint, interval=1))
        manager.after(4)
        made.settings.replace(settings_file(manager.endpoint, key="another key"))
        eventually(lambda: manager.state().complaints, "a message that Octavia does not believe")
        made.heart.stop()


def test_no_beat_without_keepalived_and_none_that_is_wrong(haproxy: Haproxy, tmp_path: Path, manager: HealthManager) -> None:
    with EchoBackend("a") as a, beating(haproxy, tmp_path, manager, a) as made:
        made.keepalived_missing = True
        assert not made.heart.beat()
        assert made.heart.status().silences == {"keepalived is configured and does not run": 1}
        made.keepalived_missing = False
        made.beat()
        # A HAProxy that is gone is told as gone: its listeners are not in the message.
        made.serving.process.stop(grace=0)
        assert made.heart.beat()
        state = manager.after(2)
        assert set(state.status["listener"].values()) == {"ERROR"}
        assert any("0 listeners when 2 expected" in each for each in state.complaints)
        made.serving.process.start()
        assert made.heart.beat()
        assert set(manager.after(3).status["listener"].values()) == {"ONLINE"}
