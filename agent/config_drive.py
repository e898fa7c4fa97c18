"""What a cloud gives a machine at its boot: the drive that Nova writes (a file system labelled `config-2`), as Octavia has it written.

    openstack/latest/meta_data.json      uuid, hostname, public_keys, files: {path, content_path}
    openstack/latest/network_data.json   links, networks, services
    openstack/latest/user_data           nothing, or #cloud-config with write_files (Octavia's `user_data_config_drive`)
    openstack/content/0000 …             the files' contents

Of cloud-init's language only `write_files` and `timezone` are known, which is what Octavia uses; what else a text asks for is told.
"""

from __future__ import annotations

import base64
import gzip
import json
import posixpath
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

from agent.errors import InvalidRequest

#: Of what Octavia's texts ask for besides: rsyslog and the agent are started after the files are there, so nothing has to be started again.
_NEEDLESS = {"runcmd"}
_LATEST = "openstack/latest"
_HOSTNAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*", re.ASCII)
_TIMEZONE = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*", re.ASCII)
_MODE = re.compile(r"(0o?)?[0-7]{3}", re.ASCII)


class GivenFile(msgspec.Struct, frozen=True):
    """A file to be. Secrets are among them, so without a word about it nobody but root reads it."""

    path: str
    content: bytes
    mode: int = 0o600


class Drive(msgspec.Struct, frozen=True, kw_only=True):
    """What it says. `instance` is the machine's id in the cloud; `ignored`, in words, what is not done."""

    instance: str
    hostname: str | None = None
    files: tuple[GivenFile, ...] = ()
    keys: tuple[str, ...] = ()
    timezone: str | None = None
    network: Mapping[str, Any] = msgspec.field(default_factory=dict)
    ignored: tuple[str, ...] = ()


def read(mounted: Path) -> Drive:
    """The drive that is mounted there. Raises InvalidRequest, OSError."""
    latest = mounted / _LATEST
    metadata = _json(latest / "meta_data.json")
    instance = metadata.get("uuid")
    if not isinstance(instance, str) or not instance:
        raise InvalidRequest("meta_data.json: uuid: missing; the machine's id is needed")
    given = [_file(mounted, entry) for entry in metadata.get("files") or []]
    written, timezone, ignored = _user_data(_optional(latest / "user_data"))
    network = latest / "network_data.json"
    hostname = metadata.get("hostname")
    if hostname is not None and not (isinstance(hostname, str) and len(hostname) <= 64 and _HOSTNAME.fullmatch(hostname)):
        ignored, hostname = [*ignored, f"the hostname {hostname!r}, which is none"], None
    return Drive(
        instance=instance,
        hostname=hostname,
        # As with cloud-init, what user data say about a file comes last.
        files=tuple({file.path: file for file in [*given, *written]}.values()),
        keys=tuple(str(key).strip() for key in (metadata.get("public_keys") or {}).values() if "\n" not in str(key).strip()),
        timezone=timezone,
        network=_json(network) if network.exists() else {},
        ignored=tuple(ignored),
    )


def _file(mounted: Path, entry: Any) -> GivenFile:
    try:
        path, content = entry["path"], entry["content_path"]
        place = mounted / "openstack" / content.lstrip("/")
    except (TypeError, KeyError, AttributeError) as error:
        raise InvalidRequest(f"meta_data.json: files: {entry!r} given; path and content_path are needed") from error
    if ".." in Path(content).parts:
        raise InvalidRequest(f"meta_data.json: files: content_path: {content!r} leads out of the drive")
    return GivenFile(_absolute(path, "meta_data.json: files"), place.read_bytes())


def _user_data(text: bytes) -> tuple[list[GivenFile], str | None, list[str]]:
    """Files, time zone, what is not done."""
    if text.startswith(b"\x1f\x8b"):
        text = gzip.decompress(text)
    if not text.strip():
        return [], None, []
    # Octavia's template leaves a line before it.
    if not text.lstrip().startswith(b"#cloud-config"):
        return [], None, ["user data that are no #cloud-config"]
    try:
        told = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise InvalidRequest(f"user_data: no YAML: {error}") from error
    if not isinstance(told, dict):
        raise InvalidRequest("user_data: a mapping is needed")
    ignored = [f"{key} of the user data" for key in sorted(map(str, told)) if key not in {"write_files", "timezone", *_NEEDLESS}]
    timezone = told.get("timezone")
    if timezone is not None and not (isinstance(timezone, str) and _TIMEZONE.fullmatch(timezone)):
        ignored, timezone = [*ignored, f"the time zone {timezone!r}, which is none"], None
    return [_written(entry) for entry in told.get("write_files") or []], timezone, ignored


def _written(entry: Any) -> GivenFile:
    """A file of `write_files`; its owner is always root."""
    if not isinstance(entry, dict):
        raise InvalidRequest(f"user_data: write_files: {entry!r} given; a mapping is needed")
    path = _absolute(entry.get("path"), "user_data: write_files")
    raw = entry.get("content") or ""
    content = raw if isinstance(raw, bytes) else str(raw).encode()
    encoding = str(entry.get("encoding") or "text/plain").lower()
    try:
        if encoding in ("b64", "base64", "gz+base64", "gzip+base64", "gz+b64", "gzip+b64"):
            content = base64.b64decode(content, validate=False)
        if encoding.startswith("gz"):
            content = gzip.decompress(content)
    except (ValueError, OSError, EOFError) as error:
        raise InvalidRequest(f"user_data: write_files: {path}: not what its encoding {encoding!r} says") from error
    mode = str(entry.get("permissions") or "0600")
    if not _MODE.fullmatch(mode):
        raise InvalidRequest(f"user_data: write_files: {path}: permissions {mode!r} given; three octal digits are needed")
    return GivenFile(path, content, int(mode[-3:], 8))


def _absolute(path: Any, where: str) -> str:
    if not isinstance(path, str) or not path.startswith("/") or "\0" in path or posixpath.normpath(path) != path or path == "/":
        raise InvalidRequest(f"{where}: path {path!r} given; an absolute path without . and .. is needed")
    return path


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except ValueError as error:
        raise InvalidRequest(f"{path.name}: no JSON: {error}") from error
    if not isinstance(found, dict):
        raise InvalidRequest(f"{path.name}: an object is needed")
    return found


def _optional(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
