"""What a person sees: in order, counted, without anything that would command the terminal; and what a program sees."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from compiler.problems import ObjectRef, Problem, Severity
from hydria.cli.output import Output, colourful, counted, sort, verdict, visible

if TYPE_CHECKING:
    from pathlib import Path


def problem(line: int | None = None, column: int | None = None, path: str = "", severity: Severity = Severity.ERROR) -> Problem:
    return Problem(code="syntax", message="wrong", line=line, column=column, path=path, severity=severity)


def test_problems_are_in_the_order_of_their_places_and_those_without_one_come_first() -> None:
    wanted = [problem(path="a"), problem(path="b"), problem(1, 9), problem(2, 1, "x"), problem(2, 1, "y"), problem(2, 10), problem(10, 1)]
    assert sort(reversed(wanted)) == wanted


@pytest.mark.parametrize(
    ("errors", "warnings", "text"),
    [(0, 0, "no problems"), (1, 0, "1 error"), (2, 0, "2 errors"), (0, 1, "1 warning"), (3, 2, "3 errors, 2 warnings")],
)
def test_problems_are_counted(errors: int, warnings: int, text: str) -> None:
    problems = [problem()] * errors + [problem(severity=Severity.WARNING)] * warnings
    assert counted(problems) == text
    assert verdict("g", problems) | {"problems": None} == {
        "ok": errors == 0,
        "graph": "g",
        "errors": errors,
        "warnings": warnings,
        "problems": None,
    }


def test_everything_that_is_known_of_a_problem_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = Problem(
        severity=Severity.WARNING,
        object=ObjectRef("listener", "", "web"),
        path="loadbalancer.listeners[0]",
        code="not-applicable",
        message="no meaning",
        hint="leave it out",
        line=3,
        column=7,
    )
    Output().problems("web.yaml", [wrong], stderr=False)
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        "web.yaml:3:7: warning: loadbalancer.listeners[0]: no meaning [not-applicable]",
        "    leave it out",
        "    in listener (web)",
        "web.yaml: 1 warning",
    ]
    assert captured.err == ""


def test_problems_go_where_they_are_sent(capsys: pytest.CaptureFixture[str]) -> None:
    Output().problems("<stdin>", [problem()], stderr=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "<stdin>: error: wrong [syntax]\n<stdin>: 1 error\n"


def test_no_control_character_reaches_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "a\x1b[31m\r\n\x07\x9b\u202e\u2028é"
    Output().problems(
        evil,
        [Problem(code="syntax", message=evil, hint=evil, path=evil, object=ObjectRef("pool", "", evil), line=1, column=1)],
        stderr=False,
    )
    Output().note(evil)
    Output().failure("x", evil)
    captured = capsys.readouterr()
    assert all(character.isprintable() or character == "\n" for character in captured.out + captured.err)
    assert captured.out.count("\n") == 4, "no line that the input began"
    assert "é" in captured.out


def test_visible_keeps_what_can_be_seen() -> None:
    assert visible("läuft: 日本 → ok") == "läuft: 日本 → ok"
    assert visible("a\nb\tc") == "a\\nb\\tc"
    assert visible("a\nb\tc", lines=True) == "a\nb\\tc"
    assert visible("\ud800") == "\\ud800"


def test_json_is_one_line_and_notes_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output()
    output.json = True
    output.note("compiled")
    output.document({"a": "é\n"})
    output.failure("system-fault", "disk full")
    captured = capsys.readouterr()
    assert [json.loads(line) for line in captured.out.splitlines()] == [
        {"a": "é\n"},
        {"ok": False, "error": {"code": "system-fault", "message": "disk full"}},
    ]
    assert captured.err == "hydria: disk full\n"


def test_there_is_no_colour_in_a_file(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        assert not colourful(file)
