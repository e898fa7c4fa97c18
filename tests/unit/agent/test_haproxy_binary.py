"""One installed HAProxy: found, asked for its version, asked for a verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import pytest

from agent.errors import ProgramMissing, SystemFault
from agent.haproxy import Haproxy
from agent.processes import Finished

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Scripted:
    """A runner whose programs all answer the same."""

    def __init__(self, code: int, output: str) -> None:
        self.finished = Finished(code, output)
        self.commands: list[list[str]] = []

    def run(self, arguments: Sequence[str], /, *, timeout: float) -> Finished:
        assert timeout > 0
        self.commands.append(list(arguments))
        return self.finished

    def start(self, arguments: Sequence[str], /, *, output: Path) -> NoReturn:
        raise AssertionError((arguments, output))


def program(place: Path) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("#!/bin/sh\n")
    place.chmod(0o755)
    return place


def test_the_first_directory_that_has_it_wins(tmp_path: Path) -> None:
    program(tmp_path / "second" / "haproxy")
    program(tmp_path / "third" / "haproxy")
    found = Haproxy.find([str(tmp_path / name) for name in ("first", "second", "third")])
    assert found.binary == tmp_path / "second" / "haproxy"


def test_it_is_found_on_the_path_before_the_system_s_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "haproxy")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Haproxy.find().binary == tmp_path / "haproxy"


def test_it_is_found_where_distributions_put_it_without_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PATH")
    assert Haproxy.find().version >= (2, 6)


def test_a_missing_one_says_where_it_was_looked_for_and_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(ProgramMissing) as error:
        Haproxy.find([str(tmp_path)])
    assert str(tmp_path) in str(error.value)
    assert "apt-get install haproxy" in str(error.value)


@pytest.mark.parametrize(
    ("output", "version"),
    [
        ("HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/\nStatus: …\n", (2, 6, 12)),
        ("HAProxy version 3.0.11-1+deb13u1 2025/09/30 - https://haproxy.org/\n", (3, 0, 11)),
        ("HAProxy version 3.2-dev3-abcdef 2025/01/01 - https://haproxy.org/\n", (3, 2)),
        ("HA-Proxy version 2.2.9-2+deb11u6 2023/12/12 - https://haproxy.org/\n", (2, 2, 9)),
    ],
)
def test_the_version_is_read(tmp_path: Path, output: str, version: tuple[int, ...]) -> None:
    runner = Scripted(0, output)
    haproxy = Haproxy(tmp_path / "haproxy", runner)
    assert haproxy.version == version
    assert haproxy.version == version
    assert runner.commands == [[str(tmp_path / "haproxy"), "-v"]]


@pytest.mark.parametrize(
    ("code", "output"), [(0, "nginx version: 1.22"), (0, ""), (1, "HAProxy version 2.6.12 2026"), (0, "HAProxy version x")]
)
def test_what_is_not_haproxy_is_refused(tmp_path: Path, code: int, output: str) -> None:
    with pytest.raises(SystemFault, match="does not answer as HAProxy does"):
        _ = Haproxy(tmp_path / "haproxy", Scripted(code, output)).version


def test_the_real_one_judges_a_bundle(haproxy: Haproxy, tmp_path: Path) -> None:
    (tmp_path / "haproxy.cfg").write_text("frontend a\n  mode http\n  bind 127.0.0.1:1\n  timeout client 1s\n")
    assert haproxy.check(tmp_path).ok
    (tmp_path / "haproxy.cfg").write_text("frontend a\n  bogus\n")
    verdict = haproxy.check(tmp_path)
    assert not verdict.ok
    assert "unknown keyword 'bogus'" in verdict.output


def test_a_warning_is_told_although_all_is_well(haproxy: Haproxy, tmp_path: Path) -> None:
    (tmp_path / "haproxy.cfg").write_text("frontend a\n  mode http\n  bind 127.0.0.1:1\n")
    verdict = haproxy.check(tmp_path)
    assert verdict.ok
    assert "missing timeouts" in verdict.output


def test_files_beside_the_configuration_are_found_from_anywhere(haproxy: Haproxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bundle" / "lists").mkdir(parents=True)
    (tmp_path / "bundle" / "lists" / "cidrs").write_text("10.0.0.0/8\n")
    (tmp_path / "bundle" / "haproxy.cfg").write_text(
        "global\n  default-path config\n"
        "frontend a\n  mode http\n  timeout client 1s\n  bind 127.0.0.1:1\n  http-request deny unless { src -f lists/cidrs }\n"
    )
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert haproxy.check(tmp_path / "bundle").ok
    monkeypatch.chdir(tmp_path)
    assert haproxy.check((tmp_path / "bundle").relative_to(tmp_path)).ok
