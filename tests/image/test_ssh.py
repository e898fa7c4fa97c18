"""Who logs in to an image with sshd, and that nobody does to one without; on user-mode Linux."""

from __future__ import annotations

import itertools
import re
import socket
import subprocess
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NamedTuple

import pytest
from support.disks import root_of
from support.machines import PORT
from support.namespaces import Namespace
from support.polling import eventually
from support.uml_guests import UmlGuest, prepare

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.agents import Trust

pytest_plugins = ["image_fixtures"]

pytestmark = pytest.mark.slow

ADDRESS = "172.16.0.31"
#: ssh's own, when it has not come in.
_REFUSED = 255


class Key(NamedTuple):
    path: Path
    public: str


class Cloud:
    """A management network with one machine at a time, and who asks it."""

    def __init__(self, namespace: Namespace, keys: Path) -> None:
        self.namespace = namespace
        self._sources = itertools.count(100)
        self.right, self.wrong = _key(keys / "right"), _key(keys / "wrong")

    def ssh(self, key: Key, user: str, *options: str) -> subprocess.CompletedProcess[str]:
        """What comes of `ssh USER@… id`, with this key and no other; from an address that sshd has not seen, and so holds nothing against."""
        source = f"172.16.0.{next(self._sources)}"
        self.namespace.ip(f"address add {source}/24 dev management")
        alone = [
            "-F",
            "none",
            "-o",
            "BatchMode=yes",
            "-o",
            "IdentitiesOnly=yes",
            "-o",
            "IdentityAgent=none",
            "-o",
            "StrictHostKeyChecking=no",
        ]
        command = [
            "ssh",
            *alone,
            "-o",
            "UserKnownHostsFile=/dev/null",
            "-b",
            source,
            "-i",
            str(key.path),
            *options,
            f"{user}@{ADDRESS}",
            "id -un",
        ]
        with self.namespace.entered():
            return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    def refuses(self, port: int) -> bool:
        """Whether nobody listens there."""
        try:
            with self.namespace.entered(), socket.create_connection((ADDRESS, port), 60):
                return False
        except ConnectionRefusedError:
            return True


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with _network("cloud") as namespace:
        yield Cloud(namespace, tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def ssh_disk(ssh_image: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(ssh_image, tmp_path_factory.mktemp("ssh"))


@pytest.fixture(scope="module")
def guest(ssh_disk: Path, cloud: Cloud, trust: Trust, tmp_path_factory: pytest.TempPathFactory) -> Iterator[UmlGuest]:
    """A machine with sshd, on whose drive is the right key."""
    place = tmp_path_factory.mktemp("s")
    with UmlGuest(place, ssh_disk, trust, "ssh", cloud=cloud.namespace, address=ADDRESS, keys=[cloud.right.public]) as machine:
        machine.wait_for_agent()
        eventually(lambda: not cloud.refuses(22), "sshd", 300.0)
        yield machine


def test_the_image_itself_has_no_host_keys_and_nobodys_key(ssh_disk: Path, tmp_path: Path) -> None:
    with root_of(ssh_disk, tmp_path / "root") as root:
        assert (root / "usr/sbin/sshd").exists()
        assert not list((root / "etc/ssh").glob("ssh_host_*"))
        assert not (root / "root/.ssh").exists()


def test_the_clouds_key_lets_root_in(cloud: Cloud, guest: UmlGuest) -> None:
    done = cloud.ssh(cloud.right, "root")
    assert (done.returncode, done.stdout.strip()) == (0, "root"), f"{done.stderr}\n{guest.shell.run('journalctl -b --no-pager -u ssh')}"


@pytest.mark.usefixtures("guest")
def test_no_other_key_does(cloud: Cloud) -> None:
    done = cloud.ssh(cloud.wrong, "root")
    assert done.returncode == _REFUSED
    # Keys are all that it takes: no password, and nothing that asks for one.
    assert "Permission denied (publickey)." in done.stderr


@pytest.mark.usefixtures("guest")
def test_passwords_are_not_even_asked_for(cloud: Cloud) -> None:
    done = cloud.ssh(cloud.wrong, "root", "-v", "-o", "PreferredAuthentications=none")
    assert done.returncode == _REFUSED
    assert set(re.findall(r"Authentications that can continue: (\S+)", done.stderr)) == {"publickey"}


def test_nobody_but_root_comes_in(cloud: Cloud, guest: UmlGuest) -> None:
    users = guest.shell.run("cut -d : -f 1 /etc/passwd").split()
    assert len(users) > 10
    for user in users:
        done = cloud.ssh(cloud.right, user)
        assert done.stdout.strip() == ("root" if user == "root" else ""), user
        assert ("Permission denied" in done.stderr) == (user != "root"), f"{user}: {done.stderr}"


def test_nothing_else_listens_and_it_carries_no_connections(cloud: Cloud, guest: UmlGuest) -> None:
    listening = {line.split()[3].rpartition(":")[2] for line in guest.shell.run("ss -Hltn").splitlines()}
    assert listening == {"22", str(PORT)}
    # Neither by the kernel's own socket between host and machine.
    assert guest.shell.run("systemctl list-units --no-legend --plain 'sshd*.socket'").strip() == ""
    done = cloud.ssh(cloud.right, "root", "-W", f"127.0.0.1:{PORT}")
    assert done.returncode == _REFUSED
    assert "administratively prohibited" in done.stderr


def test_host_keys_are_the_machines_own_and_stay(cloud: Cloud, guest: UmlGuest) -> None:
    with cloud.namespace.entered():
        scan = ["ssh-keyscan", "-t", "ed25519", ADDRESS]
        before = subprocess.run(scan, capture_output=True, text=True, timeout=120, check=True).stdout
    assert before.split()[2] in guest.shell.run("cat /etc/ssh/ssh_host_ed25519_key.pub")
    guest.switch_off()
    guest.power_on()
    eventually(lambda: cloud.ssh(cloud.right, "root").returncode == 0, "root again", 300.0)
    with cloud.namespace.entered():
        assert subprocess.run(scan, capture_output=True, text=True, timeout=120, check=True).stdout == before


def test_without_it_there_is_no_sshd_and_the_key_is_of_no_use(disk: Path, trust: Trust, tmp_path: Path) -> None:
    with root_of(disk, tmp_path / "root") as root:
        assert not list(root.glob("usr/*bin/sshd"))
    with ExitStack() as stack:
        cloud = Cloud(stack.enter_context(_network("other")), tmp_path)
        place = tmp_path / "machine"
        guest = UmlGuest(place, disk, trust, "plain", cloud=cloud.namespace, address=ADDRESS, keys=[cloud.right.public])
        stack.enter_context(guest)
        guest.wait_for_agent()
        assert cloud.refuses(22)
        assert guest.shell.try_run("ls /root/.ssh/authorized_keys")[0] != 0


@contextmanager
def _network(name: str) -> Iterator[Namespace]:
    with Namespace(name) as namespace:
        namespace.ip("link add management type bridge")
        namespace.ip("link set management up")
        namespace.ip("address add 172.16.0.1/24 dev management")
        yield namespace


def _key(path: Path) -> Key:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", path], check=True)
    return Key(path, path.with_suffix(".pub").read_text().strip())
