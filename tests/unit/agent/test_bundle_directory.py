"""A directory holds one whole bundle at any moment, and nothing that Hydria did not make is ever touched."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support.polling import eventually

from agent.bundle_directory import MANIFEST, Manifest, read_manifest, replace, write
from agent.errors import ConflictError, SystemFault
from compiler.bundle import Bundle, File, SourceMap, digest_of

ROOT = Path(__file__).resolve().parents[3]


def bundle_of(**contents: str) -> Bundle:
    files = {name.replace("__", "/").replace("_", "."): File(text.encode()) for name, text in contents.items()}
    return Bundle(files=files, problems=(), source_map=SourceMap(), digest=digest_of(files))


ONE = bundle_of(haproxy_cfg="one", tls__a_pem="one", lists__cidrs="one")
TWO = bundle_of(haproxy_cfg="two", tls__b_pem="two")


def contents(directory: Path) -> dict[str, str]:
    return {
        str(place.relative_to(directory)): place.read_text() for place in directory.rglob("*") if place.is_file() and place.name != MANIFEST
    }


def expected(bundle: Bundle) -> dict[str, str]:
    return {path: file.content.decode() for path, file in bundle.files.items()}


def read_in(folder: int, name: str) -> str:
    """The text of the file in the opened directory; "" where it has been removed."""
    try:
        with os.fdopen(os.open(name, os.O_RDONLY, dir_fd=folder)) as file:
            return file.read()
    except FileNotFoundError:
        return ""


def mode(place: Path) -> int:
    return stat.S_IMODE(place.stat().st_mode)


def test_write_gives_content_and_mode_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write({"a/b/c": File(b"\0\xff", mode=0o644), "d": File(b"key", mode=0o600, secret=True)}, tmp_path)
    finally:
        os.umask(before)
    assert (tmp_path / "a/b/c").read_bytes() == b"\0\xff"
    assert mode(tmp_path / "a/b/c") == 0o644
    assert mode(tmp_path / "d") == 0o600


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", "", "."])
def test_write_does_not_leave_the_directory(tmp_path: Path, path: str) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(SystemFault, match="leaves the bundle"):
        write({path: File(b"x")}, tmp_path / "in")
    assert list(tmp_path.rglob("*")) == [tmp_path / "in"]


def test_write_does_not_follow_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "x").symlink_to("y")
    with pytest.raises(FileExistsError):
        write({"x": File(b"x")}, tmp_path)
    assert not (tmp_path / "y").exists()


def test_replace_makes_a_directory(tmp_path: Path) -> None:
    replace(ONE, tmp_path / "out")
    assert contents(tmp_path / "out") == expected(ONE)
    assert read_manifest(tmp_path / "out") == Manifest(ONE.digest, ("haproxy.cfg", "lists/cidrs", "tls/a.pem"))
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


def test_replace_takes_the_place_of_an_empty_directory(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir(mode=0o750)
    replace(ONE, tmp_path / "out")
    assert contents(tmp_path / "out") == expected(ONE)
    assert mode(tmp_path / "out") == 0o750


def test_replace_leaves_nothing_of_the_former_bundle(tmp_path: Path) -> None:
    replace(ONE, tmp_path / "out")
    (tmp_path / "out" / "haproxy.cfg").write_text("changed by hand")
    (tmp_path / "out").chmod(0o700)
    replace(TWO, tmp_path / "out")
    assert contents(tmp_path / "out") == expected(TWO)
    assert mode(tmp_path / "out") == 0o700
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


def test_replace_follows_a_link_and_keeps_it(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    replace(ONE, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert contents(tmp_path / "real") == expected(ONE)


@pytest.mark.parametrize("prepared", ["nothing", "bundle"])
@pytest.mark.parametrize("foreign", ["notes.txt", ".hidden", "deep/er/notes.txt", "link"])
def test_what_hydria_did_not_make_is_not_touched(tmp_path: Path, prepared: str, foreign: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    if prepared == "bundle":
        replace(ONE, out)
    place = out / foreign
    place.parent.mkdir(parents=True, exist_ok=True)
    if foreign == "link":
        place.symlink_to(tmp_path)
    else:
        place.write_text("mine")
    before = sorted(out.rglob("*"))
    with pytest.raises(ConflictError, match=foreign):
        replace(TWO, out)
    assert sorted(out.rglob("*")) == before
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


def test_many_foreign_files_are_counted_not_listed(tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / f"f{number}").touch()
    with pytest.raises(ConflictError, match=r"f0, f1, f2 and 7 more"):
        replace(ONE, tmp_path)


def test_a_list_that_is_not_hydria_s_is_refused(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text("[]")
    with pytest.raises(ConflictError, match=r"\.hydria\.json is not a list that Hydria wrote"):
        replace(ONE, tmp_path)


def test_a_file_is_not_a_directory(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(ConflictError, match="is a file"):
        replace(ONE, tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"


def test_the_parent_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConflictError, match="make it first"):
        replace(ONE, tmp_path / "no" / "out")
    assert list(tmp_path.iterdir()) == []


def test_the_directory_we_are_in_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out" / "below").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "out" / "below")
    with pytest.raises(ConflictError, match="the directory you are in"):
        replace(ONE, tmp_path / "out")


def test_a_write_that_fails_leaves_the_former_bundle_and_nothing_else(tmp_path: Path) -> None:
    replace(ONE, tmp_path / "out")
    files = {**TWO.files, "x" * 300: File(b"")}
    with pytest.raises(OSError, match="too long"):
        replace(Bundle(files=files, problems=(), source_map=SourceMap(), digest=""), tmp_path / "out")
    assert contents(tmp_path / "out") == expected(ONE)
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


def test_a_reader_sees_one_bundle_or_the_other(tmp_path: Path) -> None:
    out = tmp_path / "out"
    big = [bundle_of(**{f"f{n}": letter * 100 for n in range(20)}) for letter in "ab"]
    replace(big[0], out)
    done = threading.Event()
    seen: set[str] = set()

    def read() -> None:
        while not done.is_set():
            # What was opened stays one bundle, also while it is removed after having been replaced.
            folder = os.open(out, os.O_RDONLY | os.O_DIRECTORY)
            try:
                seen.add("".join(sorted({read_in(folder, f"f{n}")[:1] for n in range(20)})))
            finally:
                os.close(folder)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(1, 60):
            replace(big[number % 2], out)
    finally:
        done.set()
        reader.join()
    assert {"a", "b"} & seen
    assert seen <= {"a", "b", ""}


def test_a_kill_leaves_one_whole_bundle(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from pathlib import Path\nfrom agent.bundle_directory import replace\nfrom compiler.bundle import Bundle, File, SourceMap, digest_of\n"
        "def bundle(text):\n"
        "    files = {f'd/f{n}': File(text * 100) for n in range(5)}\n"
        "    return Bundle(files=files, problems=(), source_map=SourceMap(), digest=digest_of(files))\n"
        "while True:\n"
        "    for text in (b'a', b'b'):\n"
        "        replace(bundle(text), Path(sys.argv[1]))\n"
        "        print(flush=True)\n"
    )
    out = tmp_path / "out"
    for rounds in range(1, 13):
        writer = subprocess.Popen([sys.executable, "-c", code, str(out), str(ROOT)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        for _ in range(rounds):
            assert writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        found = {place.read_text() for place in eventually(lambda: list(out.glob("d/f*")))}
        assert found in ({"a" * 100}, {"b" * 100})
        assert len(list(out.glob("d/f*"))) == 5
        manifest = read_manifest(out)
        assert manifest is not None
        assert manifest.digest == digest_of({f"d/f{n}": File(next(iter(found)).encode()) for n in range(5)})
