"""`hydria lab` as a person and as a program see it: one lab, all its parts."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

import pytest
from support.labs import lab, whole
from support.polling import eventually

from hydria.cli import _run
from hydria.cli.output import Output
from hydria.lab.topology import Wishes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hydria.lab.lab import Lab


@pytest.fixture(scope="module")
def single() -> Iterator[Lab]:
    with lab("command", Wishes(pair=False)) as made:
        yield made


class Asked:
    def __init__(self, made: Lab, capfd: pytest.CaptureFixture[str]) -> None:
        self._name = made.name
        self._capfd = capfd

    def __call__(self, verb: str, *arguments: str) -> tuple[int, str, str]:
        self._capfd.readouterr()
        code = _run(["lab", verb, "--name", self._name, *arguments], Output())
        said = self._capfd.readouterr()
        return code, said.out, said.err

    def json(self, verb: str, *arguments: str) -> Any:
        return json.loads(self(verb, *arguments, "--json")[1])


@pytest.fixture
def ask(single: Lab, capfd: pytest.CaptureFixture[str]) -> Asked:
    asked = Asked(single, capfd)
    asked("heal")
    eventually(lambda: whole(single), "a lab in which all is well", 60)
    return asked


def test_status_tells_what_is_amiss(single: Lab, ask: Asked) -> None:
    eventually(lambda: all(one["beats"] for one in ask.json("status")["amphorae"]), "a heartbeat")
    code, out, _ = ask("status")
    assert code == 0
    assert "amphora-1  master" in out
    assert ask("kill", "amphora-1", "--what", "agent")[0] == 0
    code, out, _ = ask("status")
    assert (code, "agent" in out.partition("member ")[0]) == (3, False)
    assert ask.json("heal")["done"] == ["amphora-1: agent started"]
    told = ask.json("status")
    assert (told["ok"], told["wrong_beats"]) == (True, 0)
    assert told["events"][-1]["what"] == "amphora-1: agent started"
    assert single.holders() == ["amphora-1"]


def test_an_amphora_that_lost_its_power_comes_back_as_it_was(single: Lab, ask: Asked) -> None:
    ask("kill", "amphora-1")
    assert ask.json("status")["amphorae"][0]["role"] == "off"
    assert ask.json("heal")["done"] == ["amphora-1: power on"]
    eventually(lambda: whole(single), "the load balancer, as before", 60)


def test_load_is_counted_and_drawn(ask: Asked, tmp_path: Path) -> None:
    picture = tmp_path / "load.svg"
    found = ask.json("load", "--seconds", "1", "--rate", "30", "--svg", str(picture))
    assert (found["requests"], found["failed"], found["by"]) == (30, 0, {"amphora-1": 30})
    drawn = ET.parse(picture).getroot()
    assert sum(one.get("class") == "answer" for one in drawn.iter()) > 0
    code, out, _ = ask("load", "--seconds", "0.2", "--rate", "10")
    assert (code, out.splitlines()[0]) == (0, "2 requests, 0 failed")
    assert ask("load", "--listener", "nowhere")[0] == 3


def test_watching(ask: Asked) -> None:
    code, out, _ = ask("watch", "-n", "1", "--interval", "0.5")
    assert code == 0
    assert "requests a second" in out
    told = ask.json("watch", "-n", "1", "--interval", "0.5", "--rate", "0")
    assert (told["event"], told["requests"]["requests"]) == ("look", 0)


def test_a_shell_is_where_it_should_be(ask: Asked) -> None:
    for machine, word in (
        ("clients", "192.0.2.150"),
        ("members", "198.18.1.1"),
        ("amphora-1", "172.31.255.11"),
        ("amphora-1/traffic", "192.0.2.10"),
    ):
        code, out, _ = ask("shell", machine, "ip", "-br", "address")
        assert (code, word in out) == (0, True)
    assert ask("shell", "clients", "sh", "-c", "exit 7")[0] == 7
    assert ask("shell", "nowhere")[0] == 3


def test_who_is_not_there_cannot_fail(ask: Asked) -> None:
    code, _, err = ask("kill", "amphora-2")
    assert (code, "there is no amphora and no member amphora-2" in err) == (3, True)
    assert ask("heal", "m9")[0] == 3
    assert ask("switch")[0] == 3
    code, _, err = ask("kill", "amphora-1", "--what", "keepalived")
    assert (code, "keepalived does not run on amphora-1" in err) == (3, True)
