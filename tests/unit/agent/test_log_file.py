from __future__ import annotations

from typing import TYPE_CHECKING

from agent.log_file import LogFile

if TYPE_CHECKING:
    from pathlib import Path


def test_the_words_since(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "log")
    assert (log.position(), log.since(""), log.since("7")) == ("0", "", "")
    log.bound()
    with log.path.open("ab") as program:
        program.write(b"before\n")
        program.flush()
        position = log.position()
        program.write(b"after \xff\n")
    assert log.since(position) == "after \\xff\n"
    assert log.since("") == "before\nafter \\xff\n"


def test_the_last_of_many(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "log")
    log.path.write_bytes(b"x" * 1_000_000 + b"end")
    assert len(log.since("")) == 65536
    assert log.since("").endswith("end")


def test_one_that_is_too_long_is_cut_and_written_on(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "log")
    with log.path.open("ab", buffering=0) as program:
        program.write(b"old\n" * 1_500_000)
        position = log.position()
        log.bound()
        program.write(b"new\n")
        assert log.path.stat().st_size == 2 * 1024 * 1024 + 4
        assert log.since(position).endswith("old\nnew\n")
        log.bound()
        assert log.path.stat().st_size == 2 * 1024 * 1024 + 4
