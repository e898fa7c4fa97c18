"""The demonstration itself: it ends well, says so when something is wrong, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.polling import eventually

from hydria.lab import demo

SECONDS = 120


def processes_in(directory: Path) -> list[str]:
    """The command lines of all processes that name the directory."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we looked
        if os.fsencode(directory) in line:
            found.append(line.replace(b"\0", b" ").decode(errors="replace"))
    return found


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A short path: UNIX sockets live below it. pytest's own grow longer with every run on a machine."""
    with tempfile.TemporaryDirectory(prefix="d", dir="/tmp") as directory:
        yield Path(directory)


def start(temporary: Path, picture: Path, *before: str) -> subprocess.Popen[str]:
    command = [*before, sys.executable, "-u", "-m", "hydria.lab.demo", str(picture)]
    environment = {**os.environ, "TMPDIR": str(temporary), "HYDRIA_LAB_DIR": str(temporary / "labs")}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def assert_nothing_left(temporary: Path) -> None:
    eventually(lambda: not processes_in(temporary), "the end of all processes")
    assert list(temporary.iterdir()) == []


def test_all_answers_are_right_and_nothing_is_left_behind(temporary: Path, tmp_path: Path) -> None:
    with start(temporary, tmp_path / "failover.svg") as process:
        said, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == demo.FINE, said
    assert "answers are right" in said
    assert "the master dies under load" in said
    kinds = [one.get("class") for one in ET.parse(tmp_path / "failover.svg").getroot().iter()]
    assert kinds.count("answer") > 100
    assert "event" in kinds
    assert "\x1b" not in said, "no colours in a pipe"
    assert_nothing_left(temporary)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (signal.SIGINT, "start HAProxy"),
        pytest.param(signal.SIGTERM, "start HAProxy", marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, "make a lab", marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, "page-1 dies", marks=pytest.mark.slow),
    ],
)
def test_an_interrupted_demo_cleans_up(temporary: Path, tmp_path: Path, number: signal.Signals, words: str) -> None:
    with start(temporary, tmp_path / "failover.svg") as process:
        assert process.stdout is not None
        line = next((line for line in process.stdout if words in line), None)
        assert line is not None, f"the demonstration ended before it said {words!r}"
        assert processes_in(temporary)
        process.send_signal(number)
        said, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 128 + number, said
    assert_nothing_left(temporary)


def test_where_no_namespaces_are_to_be_had_there_is_the_first_part(temporary: Path, tmp_path: Path) -> None:
    with start(temporary, tmp_path / "failover.svg", "setpriv", "--bounding-set=-sys_admin") as process:
        said, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == demo.FINE, said
    assert "There is no second part, with a pair of amphorae: namespaces cannot be had here" in said
    assert not (tmp_path / "failover.svg").exists()


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        pytest.param("action: REJECT\n", "action: REJECT\n          admin_state_up: false\n", id="no rejection"),
        pytest.param("&year=2026", "&year=2025", id="another redirect"),
        pytest.param("lb_algorithm: SOURCE_IP", "lb_algorithm: ROUND_ROBIN", id="no hash"),
        pytest.param("sni_container_refs: [shop, blog]", "sni_container_refs: [blog]", id="a certificate less"),
        pytest.param(
            "protocol_port: 80\n      default_pool: {name: pages}",
            "protocol_port: 80\n      default_pool: {name: carts}",
            id="another pool",
        ),
    ],
)
def test_a_load_balancer_that_does_otherwise_is_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], right: str, wrong: str
) -> None:
    text = demo.EXAMPLE.read_text(encoding="utf-8")
    assert text.count(right) == 1
    example = tmp_path / "wrong.yaml"
    example.write_text(text.replace(right, wrong), encoding="utf-8")
    before = threading.active_count()
    assert demo.main(example) == demo.WRONG
    assert "WRONG" in capsys.readouterr().out
    assert threading.active_count() == before


def test_a_graph_with_problems_is_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = demo.EXAMPLE.read_text(encoding="utf-8")
    example = tmp_path / "problem.yaml"
    example.write_text(text.replace("protocol: TERMINATED_HTTPS", "protocol: TERMINATED"), encoding="utf-8")
    assert demo.main(example) == demo.FAILED
    assert "protocol" in capsys.readouterr().out
