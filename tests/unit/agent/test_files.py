"""Files are whole or absent, and nothing that is there is ever taken for a new file's place."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from agent.files import create_file, replace_file

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_a_new_file_is_whole_and_has_its_mode(tmp_path: Path, mode: int) -> None:
    mask = os.umask(0)
    try:
        create_file(tmp_path / "key", b"secret", mode)
    finally:
        os.umask(mask)
    assert (tmp_path / "key").read_bytes() == b"secret"
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == mode
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


@pytest.mark.parametrize("kind", ["file", "directory", "dangling link"])
def test_what_is_there_stays(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "key"
    if kind == "file":
        place.write_bytes(b"old")
    elif kind == "directory":
        place.mkdir()
    else:
        place.symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExistsError):
        create_file(place, b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["key"]
    assert kind != "file" or place.read_bytes() == b"old"


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    for content in (b"one", b"two"):
        replace_file(tmp_path / "file", content)
        assert (tmp_path / "file").read_bytes() == content
        assert [path.name for path in tmp_path.iterdir()] == ["file"]
