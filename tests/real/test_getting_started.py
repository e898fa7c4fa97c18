"""Every command of docs/getting-started.md, as it stands there, prints what is shown there.

In namespaces of their own, so that its ports are free and whatever it starts ends with it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "getting-started.md").read_text(encoding="utf-8")
INSTALLATION = "## Install"


class Step(NamedTuple):
    """A command and what the page shows it to print."""

    command: str
    shown: str


def steps(text: str) -> list[Step]:
    found = []
    for block in re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, shown = part.partition("\n")
            found.append(Step(command, shown))
    return found


def files(text: str) -> dict[str, str]:
    """The files that the page shows: their first line is a comment with the name."""
    return {
        block.partition("\n")[0].removeprefix("# "): block for block in re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    }


def printed(todo: list[Step], directory: Path, environment: dict[str, str]) -> list[str]:
    """What each command prints (standard output), all in one shell."""
    marker = "@@ next @@"
    script = "\n".join(["ip link set lo up", "set -m", *(f"{step.command}\necho '{marker}'" for step in todo)])
    command = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-c", script]
    done = subprocess.run(command, cwd=directory, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    answers = done.stdout.split(f"{marker}\n")
    assert len(answers) == len(todo) + 1, done.stderr
    return answers[:-1]


def environment(home: Path) -> dict[str, str]:
    """As a user has it: what pip must know of this machine's index comes along."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))} | {"HOME": str(home)}


def test_the_page_was_read() -> None:
    assert len(steps(PAGE)) > 12
    assert list(files(PAGE)) == ["shop.yaml", "secure.yaml"]


def test_every_command_but_the_installation(tmp_path: Path) -> None:
    _, _, after = PAGE.partition(INSTALLATION)
    todo = steps(after.partition("## A first graph")[2])
    (tmp_path / "hydria").mkdir()
    (tmp_path / "hydria" / "bin").symlink_to(Path(sys.executable).parent)
    for name, text in files(PAGE).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    path = Step("export PATH=~/hydria/bin:$PATH:/usr/sbin", "")
    assert path in steps(after)
    todo.insert(0, path)
    answers = printed(todo, tmp_path, environment(tmp_path))
    assert [(step.command, answer) for step, answer in zip(todo, answers, strict=True)] == [tuple(step) for step in todo]


@pytest.mark.slow
def test_the_installation(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, capture_output=True, check=True)
    subprocess.run(["tar", "--extract", "--directory", str(checkout)], input=archive.stdout, check=True)
    for step in steps(PAGE.partition(INSTALLATION)[2].partition("## A first graph")[0]):
        subprocess.run(["bash", "-c", step.command], cwd=checkout, env=environment(tmp_path), check=True)
    version = subprocess.run(
        [tmp_path / "hydria" / "bin" / "hydria", "--version"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert version.stdout.startswith("hydria 0.")
