"""`hydria render --previous`: members keep the server ids that they had, where without it they would be others'."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from compiler.previous_ids import previous_ids
from hydria.cli import _run
from hydria.cli.output import Output

if TYPE_CHECKING:
    from collections.abc import Callable

    Rendered = Callable[..., Path]

# Their ids wish for the same number, and of several who do, the first in their order has it.
OLD, NEW = "22222222-2222-4222-8222-2222222abcde", "11111111-1111-4111-8111-1111111abcde"


def graph(*members: str) -> str:
    described = [{"id": member, "address": f"192.0.2.{number}", "protocol_port": 80} for number, member in enumerate(sorted(members), 1)]
    pool = {"name": "app", "protocol": "TCP", "lb_algorithm": "SOURCE_IP", "members": described}
    listener = {"protocol": "TCP", "protocol_port": 80, "default_pool": pool}
    return json.dumps({"loadbalancer": {"vip_address": "192.0.2.100", "listeners": [listener]}})


@pytest.fixture
def rendered(tmp_path: Path) -> Rendered:
    def render(name: str, *members: str, previous: Path | None = None) -> Path:
        source = tmp_path / f"{name}.json"
        source.write_text(graph(*members))
        more = [] if previous is None else ["--previous", str(previous)]
        assert _run(["render", str(source), "-o", str(tmp_path / name), *more], Output()) == 0
        return tmp_path / name

    return render


def ids(directory: Path) -> dict[str, int]:
    return previous_ids((directory / "haproxy.cfg").read_bytes())


@pytest.mark.parametrize("kind", ["directory", "file", "its own output"])
def test_who_was_there_first_keeps_the_id(rendered: Rendered, kind: str) -> None:
    before = rendered("before", OLD)
    had = ids(before)
    assert had.keys() == {OLD}
    assert ids(rendered("alone", OLD, NEW))[OLD] != had[OLD], "they do not clash"
    name, previous = {"directory": ("after", before), "file": ("after", before / "haproxy.cfg"), "its own output": ("before", before)}[kind]
    after = ids(rendered(name, OLD, NEW, previous=previous))
    assert after[OLD] == had[OLD] != after[NEW]
    assert ids(rendered("again", OLD, NEW, previous=before)) == after


def test_what_cannot_be_read_is_wrong_usage(rendered: Rendered, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rendered("before", OLD)
    source = str(tmp_path / "before.json")
    empty = tmp_path / "empty"
    empty.mkdir()
    odd = tmp_path / "odd"
    odd.write_bytes(b"frontend \0\n")
    for place, told in ((empty, "haproxy.cfg cannot be read"), (odd, "is no configuration"), (tmp_path / "nowhere", "does not exist")):
        capsys.readouterr()
        assert _run(["render", source, "--previous", str(place)], Output()) == 2
        assert told in " ".join(capsys.readouterr().err.split())
