"""What a person or a program sees: problems, notes, failures, each in a human and a JSON form."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, TextIO

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from compiler.problems import Problem

_COLOURS = {"error": "red", "warning": "yellow"}


class Output:
    """Where a verb writes to. `json` is set by the option of that name."""

    def __init__(self) -> None:
        self.json = False

    def document(self, document: dict[str, Any]) -> None:
        """One JSON document, as one line, on standard output."""
        click.echo(json.dumps(document, ensure_ascii=False))
        sys.stdout.flush()

    def problems(self, source: str, problems: Sequence[Problem], *, stderr: bool) -> None:
        """Every problem with its place in `source`, then how many there are."""
        stream = sys.stderr if stderr else sys.stdout
        for problem in problems:
            self._line(stream, *_described(source, problem))
        self._line(stream, click.style(visible(f"{source}: {counted(problems)}"), bold=True))

    def note(self, text: str) -> None:
        """Something worth knowing, on standard error; not said in JSON."""
        if not self.json:
            self._line(sys.stderr, visible(f"hydria: {text}"))

    def failure(self, code: str, message: str) -> None:
        """Why the system failed."""
        self._line(sys.stderr, click.style("hydria: ", fg="red") + visible(message, lines=True))
        if self.json:
            self.document({"ok": False, "error": {"code": code, "message": message}})

    def _line(self, stream: TextIO, *lines: str) -> None:
        for line in lines:
            click.echo(line, file=stream, color=colourful(stream))


def colourful(stream: TextIO) -> bool:
    """Whether colours are right there: a terminal that has them, and a person who has not refused them (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def visible(text: str, *, lines: bool = False) -> str:
    """The text with everything that would command a terminal written out in letters; ends of lines are kept if `lines`."""
    return "".join(
        character if character.isprintable() or (lines and character == "\n") else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def sort(problems: Iterable[Problem]) -> list[Problem]:
    """By place in the input; those without one first, for they are about the whole."""
    return sorted(problems, key=lambda problem: (problem.line or 0, problem.column or 0, problem.path, problem.code, problem.message))


def counted(problems: Sequence[Problem]) -> str:
    """How many errors and warnings: "2 errors, 1 warning", "no problems"."""
    counts = ((kind, sum(problem.severity == kind for problem in problems)) for kind in _COLOURS)
    return ", ".join(f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in counts if count) or "no problems"


def verdict(source: str, problems: Sequence[Problem]) -> dict[str, Any]:
    """The JSON form that the verbs have in common."""
    import msgspec  # noqa: PLC0415 - --help does without

    numbers = {kind: sum(problem.severity == kind for problem in problems) for kind in _COLOURS}
    return {
        "ok": not numbers["error"],
        "graph": source,
        "errors": numbers["error"],
        "warnings": numbers["warning"],
        "problems": [msgspec.to_builtins(problem) for problem in problems],
    }


def _described(source: str, problem: Problem) -> Iterable[str]:
    place = f"{source}:{problem.line}:{problem.column}" if problem.line is not None else source
    severity = click.style(f"{problem.severity}:", fg=_COLOURS[problem.severity], bold=True)
    path = f"{problem.path}: " if problem.path else ""
    yield f"{visible(place)}: {severity} {visible(path)}{visible(problem.message)} [{problem.code}]"
    if problem.hint:
        yield f"    {visible(problem.hint)}"
    if problem.object:
        yield f"    in {visible(' '.join(str(problem.object).split()))}"
