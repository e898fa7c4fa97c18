# ruff: noqa: INP001 - a script beside the pages that it makes
"""Makes the manual pages in docs/man from the command itself: `python -m docs.man_pages` (or `make docs`), from the repository's root.

One page for `hydria` and one for each verb, in the man macros (groff_man(7)). They bear no date and no version, so that they change only
with what they say. A test compares what is committed with what this makes.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hydria.cli import VERBS, hydria

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent / "man"

_EXIT = [
    ("0", "All is well."),
    ("1", "The graph has problems, which have been told."),
    ("2", "The command was used wrongly."),
    ("3", "The system failed: HAProxy is missing, the disk is full, a permission is."),
    ("128+N", "Ended by signal N."),
]


def pages() -> dict[str, str]:
    """Every page, by its file's name."""
    context = click.Context(hydria, info_name="hydria", **hydria.context_settings)
    made = {"hydria.1": _page("hydria", hydria.help or "", hydria, context, verbs=True)}
    for verb, summary in VERBS.items():
        command = hydria.get_command(context, verb)
        if command is not None:
            made[f"hydria-{verb}.1"] = _page(f"hydria-{verb}", summary, command, click.Context(command, context, info_name=verb))
    return made


def _page(name: str, summary: str, command: click.Command, context: click.Context, *, verbs: bool = False) -> str:
    lines = [
        '.\\" Made by docs/man_pages.py. Changes by hand are lost.',
        f'.TH {_text(name.upper())} 1 "" Hydria "Hydria"',
        ".SH NAME",
        f"{_text(name)} \\- {_text(_lead(summary))}",
        ".SH SYNOPSIS",
        *_usage(command, context),
        ".SH DESCRIPTION",
        *_paragraphs(command.help or ""),
    ]
    if verbs:
        lines += [".SH VERBS", *(line for verb, said in VERBS.items() for line in _item(f"hydria-{verb}", "(1)", said))]
    for part, its in [] if verbs else _parts(command, context):
        lines += [f".SH {_text(part.name or '').upper()}", *_usage(part, its), *_paragraphs(part.help or ""), *_options(part, its)]
    lines += [".SH OPTIONS", *_options(command, context)]
    if command.epilog:
        lines += [".SH NOTES", *_paragraphs(command.epilog)]
    lines += [".SH EXIT STATUS", *(line for code, said in _EXIT for line in _item(code, "", said))]
    others = [f"hydria-{verb}" for verb in VERBS] if verbs else ["hydria"]
    lines += [".SH SEE ALSO", ",\n".join(f".BR {_text(other)} (1)" for other in others).replace(" (1),\n", ' "(1), "\n')]
    return "\n".join(lines) + "\n"


def _parts(command: click.Command, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    """What a verb consists of, where it is more than one thing: `hydria certs init`."""
    for name in command.list_commands(context) if isinstance(command, click.Group) else ():
        part = command.get_command(context, name) if isinstance(command, click.Group) else None
        if part is not None:
            yield part, click.Context(part, context, info_name=name)


def _usage(command: click.Command, context: click.Context) -> list[str]:
    return [f".B {_text(context.command_path)}", _text(" ".join(command.collect_usage_pieces(context)))]


def _options(command: click.Command, context: click.Context) -> list[str]:
    records = [option.get_help_record(context) for option in command.get_params(context) if isinstance(option, click.Option)]
    return [line for record in records if record is not None for line in _item(record[0], "", record[1])]


def _lead(summary: str) -> str:
    sentence = inspect.cleandoc(summary).split("\n\n")[0].replace("\n", " ").removesuffix(".")
    return sentence[0].lower() + sentence[1:]


def _item(tag: str, after: str, said: str) -> list[str]:
    return [".TP", f".BR {_quoted(tag)} {_quoted(after)}" if after else f".B {_text(tag)}", _text(" ".join(said.split()))]


def _paragraphs(text: str) -> list[str]:
    """Paragraphs, filled; those that click is told not to fill, line for line."""
    lines: list[str] = []
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        lines.append(".PP")
        if paragraph.startswith("\b"):
            lines += [".nf", *map(_text, paragraph.lstrip("\b\n").splitlines()), ".fi"]
        else:
            lines.append(_text(" ".join(paragraph.split())))
    return lines


def _quoted(text: str) -> str:
    return '"' + _text(text).replace('"', "\\(dq") + '"'


def _text(text: str) -> str:
    """Text as itself: no escapes, no hyphens that are broken or typeset as dashes, no line that begins with a request."""
    plain = text.replace("\\", "\\e").replace("-", "\\-").replace("…", "...").replace("→", "\\->")
    return f"\\&{plain}" if plain[:1] in (".", "'") else plain


def main() -> None:
    """Writes the pages, and removes those of verbs that are gone."""
    HERE.mkdir(exist_ok=True)
    made = pages()
    for path in HERE.glob("*.1"):
        if path.name not in made:
            path.unlink()
    for name, text in made.items():
        (HERE / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
