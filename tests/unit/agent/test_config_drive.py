"""The cloud's drive: what Nova writes there for Octavia is read whole, and what nobody can mean is refused."""

from __future__ import annotations

import base64
import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest
from support.config_drives import INSTANCE, write_drive

from agent.config_drive import GivenFile, read
from agent.errors import InvalidRequest

if TYPE_CHECKING:
    from pathlib import Path

FILES = {"/etc/octavia/amphora-agent.conf": b"[DEFAULT]\n", "/etc/octavia/certs/server.pem": b"\x00pem\xff"}


def test_files_come_with_their_bytes_and_are_roots_alone(tmp_path: Path) -> None:
    drive = read(write_drive(tmp_path, FILES))
    assert drive.instance == INSTANCE
    assert drive.hostname == f"amphora-{INSTANCE}"
    assert drive.files == tuple(GivenFile(path, content, 0o600) for path, content in FILES.items())
    assert drive.ignored == ()


def test_what_is_left_out_is_left_out(tmp_path: Path) -> None:
    place = write_drive(tmp_path, {})
    (place / "openstack/latest/meta_data.json").write_text(json.dumps({"uuid": "x"}))
    (place / "openstack/latest/network_data.json").unlink()
    drive = read(place)
    assert (drive.hostname, drive.files, drive.keys, drive.network, drive.timezone) == (None, (), (), {}, None)


def test_keys_are_single_lines(tmp_path: Path) -> None:
    keys = {"operator": "ssh-ed25519 AAAA operator\n", "two": "ssh-rsa A\nssh-rsa B"}
    assert read(write_drive(tmp_path, {}, public_keys=keys)).keys == ("ssh-ed25519 AAAA operator",)


WRITTEN = """
#cloud-config
# vim: syntax=yaml
write_files:
-   path: /etc/octavia/amphora-agent.conf
    content: |
        [DEFAULT]
        debug = True

-   path: /etc/plain
    permissions: '0644'
    content: text
runcmd:
-   systemctl restart rsyslog
timezone: Europe/Lisbon
packages: [vim]
"""


def test_files_of_user_data_come_after_the_others(tmp_path: Path) -> None:
    drive = read(write_drive(tmp_path, FILES, user_data=WRITTEN.encode()))
    told = {file.path: file for file in drive.files}
    assert told["/etc/octavia/amphora-agent.conf"] == GivenFile("/etc/octavia/amphora-agent.conf", b"[DEFAULT]\ndebug = True\n", 0o600)
    assert told["/etc/plain"] == GivenFile("/etc/plain", b"text", 0o644)
    assert told["/etc/octavia/certs/server.pem"].content == b"\x00pem\xff"
    assert drive.timezone == "Europe/Lisbon"
    assert drive.ignored == ("packages of the user data",)


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("b64", base64.b64encode(b"bytes\xff").decode()),
        ("base64", base64.b64encode(b"bytes\xff").decode()),
        ("gz+b64", base64.b64encode(gzip.compress(b"bytes\xff", mtime=0)).decode()),
        ("gzip", gzip.compress(b"bytes\xff", mtime=0)),
    ],
)
def test_encoded_files_are_decoded(tmp_path: Path, encoding: str, text: str | bytes) -> None:
    shown = f"!!binary {base64.b64encode(text).decode()}" if isinstance(text, bytes) else text
    config = f"#cloud-config\nwrite_files:\n- path: /a\n  encoding: {encoding}\n  content: {shown}\n"
    [file] = read(write_drive(tmp_path, {}, user_data=config.encode())).files
    assert file.content == b"bytes\xff"


def test_user_data_may_be_compressed(tmp_path: Path) -> None:
    assert read(write_drive(tmp_path, {}, user_data=gzip.compress(WRITTEN.encode()))).timezone == "Europe/Lisbon"


def test_other_user_data_are_told_of(tmp_path: Path) -> None:
    assert read(write_drive(tmp_path, {}, user_data=b"#!/bin/sh\nreboot\n")).ignored == ("user data that are no #cloud-config",)


@pytest.mark.parametrize(("key", "value"), [("hostname", "a b"), ("hostname", "-x"), ("hostname", "a\nb"), ("hostname", 7)])
def test_a_name_that_is_none_is_not_taken(tmp_path: Path, key: str, value: Any) -> None:
    drive = read(write_drive(tmp_path, {}, **{key: value}))
    assert drive.hostname is None
    assert len(drive.ignored) == 1


@pytest.mark.parametrize("zone", ["../../etc/passwd", "/etc/passwd", "[]", "a//b"])
def test_a_time_zone_that_is_none_is_not_taken(tmp_path: Path, zone: str) -> None:
    drive = read(write_drive(tmp_path, {}, user_data=f"#cloud-config\ntimezone: {zone}\n".encode()))
    assert drive.timezone is None
    assert len(drive.ignored) == 1


@pytest.mark.parametrize("path", ["etc/x", "/etc/../x", "/", "", "/a//b", "/a/", "/a\0b", None, 3])
def test_paths_are_absolute_and_plain(tmp_path: Path, path: Any) -> None:
    place = write_drive(tmp_path, {"/x": b""})
    told = json.loads((place / "openstack/latest/meta_data.json").read_text())
    told["files"][0]["path"] = path
    (place / "openstack/latest/meta_data.json").write_text(json.dumps(told))
    with pytest.raises(InvalidRequest, match="an absolute path"):
        read(place)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("meta_data.json", "{", "no JSON"),
        ("meta_data.json", "[]", "an object is needed"),
        ("meta_data.json", "{}", "uuid"),
        ("meta_data.json", '{"uuid": "x", "files": [{"path": "/a"}]}', "content_path"),
        ("meta_data.json", '{"uuid": "x", "files": [{"path": "/a", "content_path": "/../../../etc/passwd"}]}', "leads out"),
        ("network_data.json", "1", "an object is needed"),
        ("user_data", "#cloud-config\n- a", "a mapping"),
        ("user_data", "#cloud-config\n{", "no YAML"),
        ("user_data", "#cloud-config\nwrite_files: [a]", "a mapping"),
        ("user_data", "#cloud-config\nwrite_files: [{path: /a, permissions: rw}]", "octal"),
        ("user_data", "#cloud-config\nwrite_files: [{path: /a, encoding: gzip, content: a}]", "encoding"),
    ],
)
def test_what_nobody_can_mean_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    place = write_drive(tmp_path, {})
    (place / "openstack/latest" / name).write_text(text)
    with pytest.raises(InvalidRequest, match=message):
        read(place)
