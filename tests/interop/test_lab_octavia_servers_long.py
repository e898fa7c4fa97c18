"""Octavia's control plane on real servers: PostgreSQL and MariaDB, RabbitMQ, a job board in Redis; and with Keystone. A user's whole way with each."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import msgspec
import pytest
from octavia_cloud import User, UserError, octavia_lab
from octavia_process import PYTHON
from support.polling import eventually
from support.servers import lacking, mariadb, postgresql, rabbitmq, redis

from agent.errors import ConflictError
from hydria.lab import keystone, octavia_given
from hydria.lab.octavia_servers import SERVERS, Servers, servers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

VIP = "192.0.2.10"
#: Seconds until a job is another worker's, and done.
_RESUMED = 180


@pytest.fixture(scope="module", autouse=True)
def _programs() -> None:
    assert lacking() == [], "make test-slow installs them"


@pytest.fixture(scope="module")
def transport() -> Iterator[str]:
    with rabbitmq() as url:
        yield url


def goes_the_whole_way(user: User) -> None:
    """A load balancer is made, carries traffic, is changed, tells how it is, and is deleted; nothing is left of it."""
    made = user.loadbalancer("create", "--name", "lb", "--vip-subnet-id", "public-subnet", "--vip-address", VIP)["id"]
    user.active(made)
    for words in (
        ("pool", "create", "--name", "servers", "--protocol", "HTTP", "--lb-algorithm", "ROUND_ROBIN", "--loadbalancer", "lb"),
        ("listener", "create", "--name", "web", "--protocol", "HTTP", "--protocol-port", "80", "--default-pool", "servers", "lb"),
        ("healthmonitor", "create", "--type", "HTTP", "--delay", "2", "--timeout", "1", "--max-retries", "1", "servers"),
    ):
        user.loadbalancer(*words)
        user.active(made)
    for name, (address, _) in user.lab.octavia.places.items():
        member = ("--name", name, "--subnet-id", "private-subnet", "--address", address, "--protocol-port", "80", "servers")
        user.loadbalancer("member", "create", *member)
        user.active(made)
    eventually(lambda: {user.answers(VIP) for _ in range(4)} == {"member-1", "member-2"}, "answers of both", 60)
    user.loadbalancer("member", "set", "--weight", "0", "servers", "member-1")
    user.active(made)
    eventually(lambda: {user.answers(VIP) for _ in range(4)} == {"member-2"}, "answers of the one that is left", 60)
    eventually(lambda: user.loadbalancer("status", "show", "lb")["loadbalancer"]["operating_status"] == "ONLINE", "ONLINE", 90)
    eventually(lambda: int(user.loadbalancer("stats", "show", "lb")["total_connections"]) >= 8, "connections that are counted", 60)
    user.loadbalancer("delete", "--cascade", "--wait", "lb")
    assert user.loadbalancer("list") == []
    assert [machine for machine in user.lab.machines if user.lab.runs(machine)] == []
    assert user.openstack("port", "list") == []


def assert_empty(named: Servers, directory: Path) -> None:
    """A lab finds nothing in them, and leaves nothing."""
    octavia_given.take(directory, named, str(PYTHON))
    octavia_given.leave(directory)


def test_nobody_takes_or_empties_what_is_another_labs(transport: str, tmp_path: Path) -> None:
    with redis() as board:
        named = servers(None, transport, board)
        # The same name, on another machine.
        own, other = (tmp_path / where / "lab" for where in ("here", "there"))
        for directory in (own, other):
            directory.mkdir(parents=True)
        octavia_given.take(own, named, str(PYTHON))
        (other / SERVERS).write_bytes(msgspec.json.encode(msgspec.structs.replace(octavia_given.given(own), token="other")))
        octavia_given.leave(other)
        (other / SERVERS).unlink()
        for each in (Servers(transport=transport), Servers(transport=transport, jobboard=board)):
            with pytest.raises(ConflictError, match="is somebody's"):
                octavia_given.take(other, each, str(PYTHON))
        octavia_given.leave(own)
        assert_empty(named, other)


def test_postgresql_and_rabbitmq(transport: str, tmp_path: Path) -> None:
    with postgresql() as db:
        named = servers(db, transport, None)
        with octavia_lab("postgresql", named, members=2) as user:
            assert list(user.lab.roles) == ["api", "worker", "health-manager", "housekeeping"]
            for other in (Servers(db=named.db), Servers(transport=named.transport)):
                with pytest.raises(ConflictError), octavia_lab("refused", other):
                    pass
            goes_the_whole_way(user)
            # What an API that has no worker is asked for is done when there is one again.
            user.lab.control("stop", name="worker")
            made = user.loadbalancer("create", "--name", "late", "--vip-subnet-id", "public-subnet")
            user.lab.control("start", name="worker")
            user.active(made["id"])
        assert_empty(named, tmp_path)


def test_mariadb_and_rabbitmq_with_a_job_board(transport: str, tmp_path: Path) -> None:
    with mariadb() as db, redis() as board:
        named = servers(db, transport, board)
        with octavia_lab("mariadb", named, members=2) as user:
            assert list(user.lab.roles) == ["api", "worker", "worker-2", "health-manager", "housekeeping"]
            goes_the_whole_way(user)
            user.lab.control("stop", name="worker-2")
            made = user.loadbalancer("create", "--name", "lb", "--vip-subnet-id", "public-subnet", "--vip-address", VIP)["id"]
            eventually(lambda: [one for one in user.amphorae(loadbalancer_id=made) if one["compute_id"]], "a machine that is made", 60)
            user.lab.control("stop", name="worker")
            [amphora] = user.amphorae(loadbalancer_id=made)
            assert amphora["status"] != "ALLOCATED"
            assert user.loadbalancer("show", made)["provisioning_status"] == "PENDING_CREATE"
            user.lab.control("start", name="worker-2")
            eventually(
                lambda: user.loadbalancer("show", made)["provisioning_status"] == "ACTIVE",
                "a job that another worker has resumed",
                _RESUMED,
            )
            [resumed] = user.amphorae(loadbalancer_id=made)
            assert (resumed["id"], resumed["compute_id"], resumed["status"]) == (amphora["id"], amphora["compute_id"], "ALLOCATED")
            user.loadbalancer("listener", "create", "--protocol", "HTTP", "--protocol-port", "80", "lb")
            user.active(made)
            assert user.get(VIP).status == 503
        assert_empty(named, tmp_path)


def test_keystone_says_who_may_do_what() -> None:
    with octavia_lab("keystone", members=2, with_keystone=True) as user:
        assert next(iter(user.lab.roles)) == "keystone"
        assert user.environment["OS_USERNAME"] == "lab"
        goes_the_whole_way(user)
        made = user.loadbalancer("create", "--name", "lb", "--vip-subnet-id", "public-subnet")
        user.active(made["id"])
        # What is the operator's to do, a project's member may not.
        with pytest.raises(UserError, match="403"):
            user.loadbalancer("failover", "lb")
        admin = User(user.lab, user.lab.environment_of(keystone.ADMIN))
        [amphora] = admin.loadbalancer("amphora", "list", "--loadbalancer", "lb")
        assert amphora["status"] == "ALLOCATED"
        assert made["project_id"] == next(one["ID"] for one in admin.openstack("project", "list") if one["Name"] == "lab")
        for wrong in ({**user.environment, "OS_PASSWORD": "wrong"}, user.lab.octavia.environment):
            with pytest.raises(UserError, match=r"401|authenticat"):
                User(user.lab, wrong).loadbalancer("list")
        for path in user.lab.directory.iterdir():
            if path.is_file() and any(word.encode() in path.read_bytes() for word in passwords(user)):
                assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        # Keystone is killed, and is the same when it is back.
        user.lab.control("stop", name="keystone")
        assert user.lab.roles["keystone"] is None
        user.lab.control("start", name="keystone")
        assert [one["name"] for one in user.loadbalancer("list")] == ["lb"]


def passwords(user: User) -> list[str]:
    kept = keystone.passwords(user.lab.directory)
    return [kept.admin, kept.lab, kept.octavia]
