"""The manual pages are those that would be made, and say something of every verb and option."""

from __future__ import annotations

import runpy
from pathlib import Path

import click
import pytest

from hydria.cli import VERBS, hydria

DOCS = Path(__file__).parents[3] / "docs"
PAGES: dict[str, str] = runpy.run_path(str(DOCS / "man_pages.py"))["pages"]()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_the_one_that_would_be_made(name: str) -> None:
    assert (DOCS / "man" / name).read_text(encoding="utf-8") == PAGES[name], "run `make docs`"


def test_there_is_a_page_for_every_verb_and_no_other() -> None:
    expected = {"hydria.1", *(f"hydria-{verb}.1" for verb in VERBS)}
    assert expected == PAGES.keys() == {path.name for path in (DOCS / "man").iterdir()}


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_is_told(verb: str) -> None:
    context = click.Context(hydria, info_name="hydria")
    command = hydria.get_command(context, verb)
    assert command is not None
    # A verb may be several: `hydria certs init`.
    group = command if isinstance(command, click.Group) else None
    parts = [command] if group is None else [part for name in group.list_commands(context) if (part := group.get_command(context, name))]
    options = [option for part in parts for parameter in part.params if isinstance(parameter, click.Option) for option in parameter.opts]
    assert options
    page = PAGES[f"hydria-{verb}.1"].replace("\\-", "-")
    assert [option for option in options if option not in page] == []


@pytest.mark.parametrize("name", PAGES)
def test_only_requests_begin_with_a_dot_and_no_hyphen_is_bare(name: str) -> None:
    known = (".\\", ".TH ", ".SH ", ".PP", ".TP", ".B ", ".BR ", ".nf", ".fi")
    for line in PAGES[name].splitlines():
        assert not line.startswith(("'", ".")) or line.startswith(known), line
        assert line.startswith(".\\") or "-" not in line.replace("\\-", "").replace("\\->", ""), line
