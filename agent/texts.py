"""The agent's small files as text: systemd units, scripts, what it adds to HAProxy's configuration. Rendered from `templates/`, strictly.

A template is given finished words and numbers, nothing else; each function here writes for one grammar.
"""

from __future__ import annotations

import re
import shlex
from functools import cache

import jinja2

import templates
from agent.errors import SystemFault
from compiler.quoting import Word

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
#: What systemd takes literally in a word of a command line (systemd.service(5), "Command lines").
_PLAIN = re.compile(r"[A-Za-z0-9_./:@,+=-]+")


class Text(str):
    """A finished piece of a file; any operation on it yields a plain `str` again, which templates refuse."""

    __slots__ = ()


def shell(text: str) -> Text:
    """Any text as one word of a shell's command. Raises SystemFault for what no file can hold."""
    return Text(shlex.quote(_writable(text)))


def systemd(text: str) -> Text:
    """Any text as one word of a unit's `ExecStart=`: `%` and `$` would be expanded, so they are doubled."""
    if _PLAIN.fullmatch(text):
        return Text(text)
    escaped = _writable(text).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return Text(f'"{escaped}"')


def systemd_line(text: str) -> Text:
    """Any text as the rest of a unit's line, such as `Description=`."""
    return Text(_writable(text).replace("\\", "\\\\").replace("%", "%%"))


def render(template: str, **values: object) -> bytes:
    """The file that a template below `templates/` gives."""
    return _environment().get_template(template).render(**values).encode()


def _writable(text: str) -> str:
    if _CONTROL.search(text):
        raise SystemFault(f"{text!r} holds a control character and cannot be written down")
    return text


@cache
def _environment() -> jinja2.Environment:
    return templates.environment(_finalize)


def _finalize(value: object) -> object:
    if isinstance(value, (Text, Word, int)):
        return value
    raise SystemFault(f"{value!r} is no finished text and cannot be written into a file")
