"""The pages that are made from the code are those that are committed, and say something of everything."""

from __future__ import annotations

import runpy
from pathlib import Path

import msgspec
import pytest

from compiler import graph, graph_docs
from compiler.problems import CODES

DOCS = Path(__file__).parents[3] / "docs"
PAGES: dict[str, str] = runpy.run_path(str(DOCS / "generate.py"))["pages"]()

STRUCTS = [
    kind
    for kind in vars(graph).values()
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind is not graph.Node and kind.__module__ == graph.__name__
]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_the_one_that_would_be_made(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name], "run `make docs`"


def test_every_struct_is_described() -> None:
    assert set(graph_docs.OBJECTS) == set(graph_docs.FIELDS) == set(STRUCTS)


@pytest.mark.parametrize("struct", STRUCTS, ids=[struct.__name__ for struct in STRUCTS])
def test_every_field_has_a_meaning_and_every_meaning_a_field(struct: type[msgspec.Struct]) -> None:
    names = {field.name for field in msgspec.structs.fields(struct)}
    assert all(graph_docs.meaning(struct, name).strip() for name in names)
    assert graph_docs.FIELDS[struct].keys() <= names


def test_what_all_objects_have_is_told_once() -> None:
    assert graph_docs.COMMON.keys() == {field.name for field in msgspec.structs.fields(graph.Node)}


def test_a_field_without_a_meaning_is_an_error() -> None:
    with pytest.raises(KeyError, match=r"SessionPersistence\.tags"):
        graph_docs.meaning(graph.SessionPersistence, "tags")


def test_the_graph_page_has_a_row_for_every_field() -> None:
    sections = {text.partition("\n")[0]: text for text in PAGES["graph.md"].split("\n## ")}
    common = sections["Every object"]
    for struct, name in graph.TYPE_NAMES.items():
        for field in msgspec.structs.fields(struct):
            assert f"\n| `{field.name}` | " in sections[name] or f"\n| `{field.name}` | " in common, (name, field.name)


def test_the_page_of_problems_has_a_row_for_every_code() -> None:
    for code, meaning in CODES.items():
        assert f"| `{code}` | {meaning} |" in PAGES["problems.md"]
