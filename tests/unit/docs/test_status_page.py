"""docs/status-page.md: options are the command's, tests that it names are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hydria.cli.web import web

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "status-page.md").read_text(encoding="utf-8")
TESTS = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE)


def test_every_option_is_told_and_no_other() -> None:
    table = PAGE.partition("| option |")[2].partition("\n\n")[0]
    told = set(re.findall(r"--[a-z]+", table)) - {"--name"}
    assert told == {parameter.opts[0] for parameter in web.params}


@pytest.mark.parametrize(("file", "name"), TESTS)
def test_every_test_is_there(file: str, name: str) -> None:
    assert f"\ndef {name}" in "\n" + (ROOT / file).read_text(encoding="utf-8")


def test_there_are_tests() -> None:
    assert len(TESTS) > 5
