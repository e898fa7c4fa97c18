"""The first boot: once for each machine that a cloud makes of an image, again where it was ended in the middle."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest
from support.config_drives import INSTANCE, write_drive

from agent.clock import SystemClock
from agent.config_drive import Drive, read
from agent.errors import NotFoundError
from agent.first_boot import FirstBoot, find_drive

if TYPE_CHECKING:
    from pathlib import Path

CONF = "/etc/octavia/amphora-agent.conf"
NETWORK = {
    "links": [{"id": "a", "ethernet_mac_address": "fa:16:3e:00:00:01"}],
    "networks": [{"link": "a", "type": "ipv4_dhcp"}],
    "services": [{"type": "dns", "address": "192.0.2.53"}],
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    place = tmp_path / "root"
    (place / "usr/share/zoneinfo/Europe").mkdir(parents=True)
    (place / "usr/share/zoneinfo/Europe/Lisbon").touch()
    return place


@pytest.fixture
def boot(root: Path) -> FirstBoot:
    return FirstBoot(root, root / "var/lib/hydria")


def drive(tmp_path: Path, instance: str = INSTANCE, content: bytes = b"first") -> Drive:
    return read(write_drive(tmp_path / instance, {CONF: content}, instance=instance, network=NETWORK, public_keys={"a": "ssh-rsa A"}))


def test_all_that_the_drive_says_is_there(tmp_path: Path, root: Path, boot: FirstBoot) -> None:
    (root / "var/lib").mkdir(parents=True)
    done = boot.apply(drive(tmp_path))
    assert (root / CONF[1:]).read_bytes() == b"first"
    assert stat.S_IMODE((root / CONF[1:]).stat().st_mode) == 0o600
    assert "MACAddress=fa:16:3e:00:00:01" in (root / "etc/systemd/network/10-fa163e000001.network").read_text()
    assert (root / "etc/resolv.conf").read_text() == "nameserver 192.0.2.53\n"
    assert (root / "etc/hostname").read_text() == f"amphora-{INSTANCE}\n"
    assert CONF in done
    assert boot.instance == INSTANCE


def test_the_same_machine_keeps_what_it_was_given_since(tmp_path: Path, root: Path, boot: FirstBoot) -> None:
    (root / "var/lib").mkdir(parents=True)
    told = drive(tmp_path)
    boot.apply(told)
    (root / CONF[1:]).write_bytes(b"by the controller")
    assert boot.apply(told) == []
    assert (root / CONF[1:]).read_bytes() == b"by the controller"


def test_another_machine_of_the_same_image_becomes_another(tmp_path: Path, root: Path, boot: FirstBoot) -> None:
    (root / "var/lib").mkdir(parents=True)
    (root / "etc/systemd/network").mkdir(parents=True)
    (root / "etc/systemd/network/10-old.network").touch()
    (root / "etc/systemd/network/90-management.network").touch()
    boot.apply(drive(tmp_path))
    boot.apply(drive(tmp_path, "other", b"second"))
    assert (root / CONF[1:]).read_bytes() == b"second"
    names = {path.name for path in (root / "etc/systemd/network").iterdir()}
    assert names == {"10-fa163e000001.network", "90-management.network"}


def test_what_was_ended_in_the_middle_is_done_again(tmp_path: Path, root: Path, boot: FirstBoot) -> None:
    (root / "var/lib").mkdir(parents=True)
    (root / "etc/octavia").mkdir(parents=True)
    (root / CONF[1:]).mkdir()  # which no file can take the place of
    with pytest.raises(OSError, match=CONF[1:]):
        boot.apply(drive(tmp_path))
    assert boot.instance is None
    (root / CONF[1:]).rmdir()
    boot.apply(Drive(instance=INSTANCE, files=drive(tmp_path / "again").files))
    assert (root / CONF[1:]).read_bytes() == b"first"


def test_keys_are_for_machines_with_a_daemon_that_takes_them(tmp_path: Path, root: Path, boot: FirstBoot) -> None:
    (root / "var/lib").mkdir(parents=True)
    boot.apply(drive(tmp_path))
    assert not (root / "root/.ssh").exists()
    (root / "usr/sbin").mkdir()
    (root / "usr/sbin/sshd").touch()
    (root / "root").mkdir()
    boot.apply(drive(tmp_path, "other"))
    assert (root / "root/.ssh/authorized_keys").read_text() == "ssh-rsa A\n"


def test_the_time_zone_is_one_that_is_known(root: Path, boot: FirstBoot) -> None:
    (root / "var/lib").mkdir(parents=True)
    (root / "etc").mkdir()
    boot.apply(Drive(instance="a", timezone="Europe/Nowhere"))
    assert not (root / "etc/localtime").is_symlink()
    boot.apply(Drive(instance="b", timezone="Europe/Lisbon"))
    assert str((root / "etc/localtime").readlink()) == "/usr/share/zoneinfo/Europe/Lisbon"


def test_the_drive_is_found_by_its_label_or_missed(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="config-2"):
        find_drive(SystemClock(), tmp_path, 0)
    (tmp_path / "CONFIG-2").touch()
    assert find_drive(SystemClock(), tmp_path, 0) == tmp_path / "CONFIG-2"
