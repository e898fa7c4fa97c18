"""docs/user-guide.md, read as its reader reads it: every command of it, in its order, prints what is shown there; every table of it is whole.

HYDRIA_GOLDEN_UPDATE=1 writes down what commands print that are shown to print `?`.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from guide_page import Step, commands, options, sections
from guide_shell import UNKNOWN, Shell
from support.labs import lab_name, left_of

from hydria.lab import record

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docs" / "user-guide.md"
PAGE = FILE.read_text(encoding="utf-8")
SECTIONS = sections(PAGE)
#: What the short form follows: a lab, a load balancer that serves, the end.
SHORT = ("Begin", "A load balancer that serves", "End")
#: Seconds until what was asked for can be seen.
_SETTLING = 5
_PRINTING = {"--noindent", "--prefix", "--max-width", "--fit-width", "--print-empty"}
UPDATE = bool(os.environ.get("HYDRIA_GOLDEN_UPDATE"))


@contextmanager
def reader(directory: Path, label: str) -> Iterator[Shell]:
    """Somebody with a shell; what there is of their lab afterwards is removed."""
    name = lab_name(label)
    with Shell(directory, name) as shell:
        try:
            yield shell
        finally:
            record.end(name)
    assert left_of(name) == []


def follow(shell: Shell, todo: list[Step]) -> None:
    for step in todo:
        if UPDATE and step.shown == UNKNOWN and step.looks:
            time.sleep(_SETTLING)
        answer = shell.follow(step)
        if UPDATE and step.shown == UNKNOWN:
            fill(step, shell.to_show(answer))
            continue
        assert shell.as_shown(step, answer), f"# {step.command}\n{answer.printed}[{answer.code}]\nis shown as\n{step.shown}"


def fill(step: Step, shown: str) -> None:
    text = FILE.read_text(encoding="utf-8")
    FILE.write_text(text.replace(f"# {step.command}\n{step.shown}", f"# {step.command}\n{shown}", 1), encoding="utf-8")


# --- the short form, and what can be seen without a lab ---


def test_its_beginning_and_its_end(tmp_path: Path) -> None:
    with reader(tmp_path, "guide") as shell:
        for name in SHORT:
            follow(shell, SECTIONS[name])


def test_every_command_that_it_tells_of_is_said_in_it() -> None:
    said = [step.command for todo in SECTIONS.values() for step in todo]
    missing = [each for each in commands(PAGE) if not any(re.search(rf"\bopenstack {each}\b(?! (stats|status))", one) for one in said)]
    assert missing == []


def test_its_tables_have_all_commands_and_all_options(tmp_path: Path) -> None:
    with reader(tmp_path, "tables") as shell:
        listed = shell.run("openstack command list --group openstack.load_balancer.v2 -f json | jq -r '.[].Commands[]'")
        assert sorted(commands(PAGE)) == sorted(listed.printed.splitlines())
        told = options(PAGE)
        assert len(told) >= 7
        for command, those in told.items():
            usage = shell.run(f"openstack {command} --help")
            assert those == client_options(usage.printed), command


def client_options(usage: str) -> set[str]:
    """Options of a command itself, without those that say how it prints."""
    return set(re.findall(r"--[a-z][a-z0-9-]*", usage.partition("\n\n")[0])) - _PRINTING


# --- all of it ---


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    with reader(tmp_path_factory.mktemp("guide"), "page") as made:
        yield made


@pytest.mark.slow
@pytest.mark.parametrize("name", SECTIONS)
def test_section(shell: Shell, name: str) -> None:
    follow(shell, SECTIONS[name])
