"""Secrets at rest, on a real file system: there with the key, and nothing of them on the disk without it."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from support.config_drives import INSTANCE, write_drive

from agent import at_rest
from agent.config_drive import read
from agent.first_boot import protect
from agent.options import Options

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Needs loop devices, which machines for short tests may not have.
pytestmark = pytest.mark.slow

SECRET = b"-----BEGIN PRIVATE KEY----- a word that is nowhere else: hydriaphobia"


class Disk:
    def __init__(self, directory: Path, *options: str) -> None:
        self.image, self.place = directory / "disk", directory / "mounted"
        self.place.mkdir()
        with self.image.open("wb") as file:
            file.truncate(32 << 20)
        subprocess.run(["mkfs.ext4", "-q", *options, self.image], check=True)

    @contextmanager
    def mounted(self) -> Iterator[Path]:
        subprocess.run(["mount", "-o", "loop", self.image, self.place], check=True)
        try:
            yield self.place
        finally:
            subprocess.run(["umount", self.place], check=True)


def test_what_is_written_is_there_with_the_key_and_nowhere_without(tmp_path: Path) -> None:
    disk = Disk(tmp_path, "-O", "encrypt")
    with disk.mounted() as place:
        (place / "keys").mkdir()
        assert not at_rest.is_encrypted(place / "keys")
        key = at_rest.unlock(place, b"of the drive", "this machine")
        assert at_rest.encrypt(place / "keys", key)
        assert at_rest.encrypt(place / "keys", key), "once more"
        (place / "keys" / "server.pem").write_bytes(SECRET)
        (place / "plain").write_bytes(SECRET[:10])
    assert SECRET[20:] not in disk.image.read_bytes()
    assert b"server.pem" not in disk.image.read_bytes()
    with disk.mounted() as place:
        assert not (place / "keys" / "server.pem").exists()
        assert at_rest.unlock(place, b"of the drive", "another machine") != key
        assert not (place / "keys" / "server.pem").exists()
        assert at_rest.unlock(place, b"of the drive", "this machine") == key
        assert (place / "keys" / "server.pem").read_bytes() == SECRET


def test_another_key_for_the_same_directory_is_refused(tmp_path: Path) -> None:
    with Disk(tmp_path, "-O", "encrypt").mounted() as place:
        (place / "keys").mkdir()
        at_rest.encrypt(place / "keys", at_rest.unlock(place, b"one", ""))
        with pytest.raises(FileExistsError):
            at_rest.encrypt(place / "keys", at_rest.unlock(place, b"two", ""))


def test_a_file_system_that_cannot_says_so(tmp_path: Path) -> None:
    with Disk(tmp_path).mounted() as place, pytest.raises(at_rest.NotEncryptableError):
        at_rest.unlock(place, b"one", "")


def options(place: Path) -> Options:
    return Options(place / "etc" / "agent.conf", "n", place / "run", place / "state", "systemd")


def settings(place: Path) -> bytes:
    text = f"[haproxy_amphora]\nbase_path = {place}/lib\nbase_cert_dir = {place}/lib/certs\n"
    return f"{text}[amphora_agent]\nagent_server_cert = {place}/etc/certs/server.pem\n".encode()


def test_the_first_boot_has_settings_and_keys_encrypted_and_later_ones_read_them(tmp_path: Path) -> None:
    disk = Disk(tmp_path, "-O", "encrypt")
    files = {str(disk.place / "etc/agent.conf"): settings(disk.place), str(disk.place / "etc/certs/server.pem"): SECRET}
    drive = read(write_drive(tmp_path / "drive", files))
    assert drive.instance == INSTANCE
    with disk.mounted() as place:
        assert protect(drive, options(place)) == []
        assert at_rest.is_encrypted(place / "etc")
        assert at_rest.is_encrypted(place / "lib")
        (place / "lib" / "key").write_bytes(SECRET)
    with disk.mounted() as place:
        assert not (place / "lib" / "key").exists()
        assert protect(drive, options(place)) == []
        assert (place / "lib" / "key").read_bytes() == SECRET


def test_a_directory_that_has_been_in_use_stays_as_it_is_and_is_told_of(tmp_path: Path) -> None:
    disk = Disk(tmp_path, "-O", "encrypt")
    files = {str(disk.place / "etc/agent.conf"): settings(disk.place), str(disk.place / "etc/certs/server.pem"): SECRET}
    drive = read(write_drive(tmp_path / "drive", files))
    with disk.mounted() as place:
        (place / "lib").mkdir()
        (place / "lib" / "file").touch()
        assert protect(drive, options(place)) == [f"not encrypted: {place / 'lib'}, which has been in use"]
        without = read(write_drive(tmp_path / "other", {}))
        [said] = protect(without, options(place))
        assert said.startswith("not encrypted: the drive has no")
