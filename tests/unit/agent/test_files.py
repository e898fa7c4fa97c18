"""Files are whole or absent, and nothing that is there is ever taken for a new file's place."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.files import _create_by_name, create_file, replace_file

ROOT = Path(__file__).resolve().parents[3]


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


def test_one_that_is_killed_leaves_nothing_or_all(tmp_path: Path) -> None:
    size = 30_000_000
    code = f"import sys; from pathlib import Path; from agent.files import create_file; content = bytes({size}); print(flush=True)\n"
    code += "create_file(Path(sys.argv[1]), content); print(flush=True); sys.stdin.read()"
    for number in range(8):
        place = tmp_path / str(number)
        place.mkdir()
        command = [sys.executable, "-c", code, str(place / "key")]
        with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as maker:
            assert maker.stdout is not None
            maker.stdout.readline()
            time.sleep(0.004 * number)
            maker.kill()
        assert [(path.name, path.stat().st_size) for path in place.iterdir()] in ([], [("key", size)])


@pytest.mark.parametrize("mode", [0o600, 0o640])
def test_where_files_must_have_names_it_is_the_same(tmp_path: Path, mode: int) -> None:
    _create_by_name(tmp_path / "key", b"secret", mode)
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == mode
    with pytest.raises(FileExistsError):
        _create_by_name(tmp_path / "key", b"new", mode)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("key", b"secret")]


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    for content in (b"one", b"two"):
        replace_file(tmp_path / "file", content)
        assert (tmp_path / "file").read_bytes() == content
        assert [path.name for path in tmp_path.iterdir()] == ["file"]
