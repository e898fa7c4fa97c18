"""The drive that Nova makes for a machine: as a directory, and as the image of a disk."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

INSTANCE = "0a5f24a5-3f1c-4d4f-9f3c-7d6f6a3a0001"


def write_drive(
    place: Path,
    files: Mapping[str, bytes],
    *,
    instance: str = INSTANCE,
    network: Mapping[str, Any] | None = None,
    user_data: bytes | None = None,
    **metadata: Any,
) -> Path:
    """The drive's files below `place`, which is the answer; `files`: path on the machine → content."""
    latest, content = place / "openstack" / "latest", place / "openstack" / "content"
    latest.mkdir(parents=True)
    content.mkdir()
    entries = []
    for number, (path, body) in enumerate(files.items()):
        (content / f"{number:04}").write_bytes(body)
        entries.append({"path": path, "content_path": f"/content/{number:04}"})
    told = {"uuid": instance, "name": "amphora", "hostname": f"amphora-{instance}", "files": entries, "launch_index": 0, **metadata}
    (latest / "meta_data.json").write_text(json.dumps(told))
    (latest / "network_data.json").write_text(json.dumps(network or {}))
    if user_data is not None:
        (latest / "user_data").write_bytes(user_data)
    return place


def as_disk(drive: Path, image: Path) -> Path:
    """The image of a disk with these files, as Nova makes it (ISO 9660, labelled `config-2`)."""
    options = ["-quiet", "-J", "-r", "-V", "config-2", "-publisher", "OpenStack Compute", "-allow-lowercase", "-allow-multidot", "-l"]
    subprocess.run(["genisoimage", "-o", image, *options, drive], check=True, capture_output=True)
    return image
