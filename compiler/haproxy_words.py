r"""How HAProxy cuts a line of its configuration into words (configuration manual 2.2 "Quoting and escaping", 2.3 "Environment variables").

Text is Latin-1: a character is a byte, whatever the bytes mean, so that `\xC3` and the byte itself are the same. A variable is not
resolved, because only the process knows its value: it is kept, marked so that `"$HOME"` is not the word that `'$HOME'` is.
"""

from __future__ import annotations

import re

#: Stands before a variable that HAProxy would put a value for. A configuration cannot have this byte.
VARIABLE = "\0"

_BLANKS = " \t\n\v\f\r"
#: What makes a line more than words between blanks; and what Python takes for a blank, but HAProxy does not.
_SPECIAL = re.compile("[\"'\\\\#\x1c-\x1f\x85\xa0]")
#: What ends a word outside of quotes.
_ENDS = _BLANKS + "#"
_NAMED = {"n": "\n", "r": "\r", "t": "\t"}
_ESCAPED = " \\#'\"$"
_HEX = re.compile(r"x([0-9A-Fa-f]{2})")
#: `$NAME`, `${NAME}`, `${NAME-default}`, and `${NAME[*]}`, which becomes as many words as the value has.
_VARIABLE = re.compile(r"\$(\{[^}]*\}|[A-Za-z_][A-Za-z0-9_]*)")


class UnreadableLine(ValueError):  # noqa: N818  (names what the line is)
    """HAProxy would refuse the line."""


def words(line: str) -> tuple[str, ...]:
    """The words of one line, quotes and escapes resolved, without a comment. Raises UnreadableLine."""
    if _SPECIAL.search(line) is None:
        return tuple(line.split())
    found: list[str] = []
    #: None between words; a word that is empty quotes is one, too.
    current: str | None = None
    quote = ""
    at = 0
    while at < len(line):
        char = line[at]
        if char == quote or (not quote and char in "\"'"):
            quote = "" if quote else char
            current, at = current or "", at + 1
        elif quote or char not in _ENDS:
            text, used = _text(line, at, quote)
            current, at = (current or "") + text, at + used
        else:
            found += [] if current is None else [current]
            current = None
            at = len(line) if char == "#" else at + 1
    if quote:
        raise UnreadableLine("a quote is opened and not closed")
    return tuple(found if current is None else [*found, current])


def _text(line: str, at: int, quote: str) -> tuple[str, int]:
    """What stands at `at` within a word, and how many characters of the line that takes."""
    if line[at] == "\\" and quote != "'":
        return _escape(line, at, quote)
    if quote == '"' and (variable := _VARIABLE.match(line, at)):
        return VARIABLE + variable[0], len(variable[0])
    return line[at], 1


def _escape(line: str, at: int, quote: str) -> tuple[str, int]:
    """What the backslash at `at` stands for, and how many characters of the line that takes. Before anything else it is itself; also
    before a `$` where that is no variable.
    """
    following = line[at + 1 : at + 2]
    if following == "x":
        digits = _HEX.match(line, at + 1)
        if digits is None:
            raise UnreadableLine("\\x is not followed by two hexadecimal digits")
        return chr(int(digits[1], 16)), 4
    if following and following in _NAMED:
        return _NAMED[following], 2
    if following and following in (_ESCAPED if quote else _ESCAPED.replace("$", "")):
        return following, 2
    return "\\", 1
