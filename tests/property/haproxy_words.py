"""HAProxy's own way of cutting a configuration into words, as its manual tells it: the oracle for what `compiler.quoting` writes.

Configuration manual 2.2 (quoting and escaping), its "second level of quoting" for the arguments of sample fetches, and 8.2.6 (log-format
strings). Written from the manual alone; nothing of the compiler is used.
"""

from __future__ import annotations

BLANKS = " \t\n\v\f\r"

#: Words that HAProxy takes in one line (manual 2.1).
MOST_WORDS = 64


class UnreadableError(ValueError):
    """HAProxy would refuse the line."""


def words(line: str) -> list[str]:  # noqa: C901  (one character at a time, as HAProxy reads)
    """The words of one line of configuration, with quotes and escapes resolved. A variable is an error: nothing here may use one."""
    found: list[str] = []
    current: list[str] = []
    started = False
    strong = weak = False
    at = 0
    while at < len(line):
        char = line[at]
        if char == '"' and not strong:
            weak, started = not weak, True
        elif char == "'" and not weak:
            strong, started = not strong, True
        elif char == "\\" and not strong:
            text, used = _escape(line, at, weak)
            current.append(text)
            started = True
            at += used
            continue
        elif char == "#" and not strong and not weak:
            break
        elif char in BLANKS and not strong and not weak:
            if started:
                found.append("".join(current))
            current, started = [], False
        elif char == "$" and weak:
            raise UnreadableError(f"a variable in {line!r}")
        else:
            current.append(char)
            started = True
        at += 1
    if strong or weak:
        raise UnreadableError(f"a quote that does not end in {line!r}")
    if started:
        found.append("".join(current))
    if len(found) > MOST_WORDS:
        raise UnreadableError(f"{len(found)} words in one line")
    return found


_NAMED = {"n": "\n", "r": "\r", "t": "\t"}


def _escape(line: str, at: int, weak: bool) -> tuple[str, int]:
    """What the backslash at `at` stands for, and how many characters that took. A dollar is escaped where it would begin a variable."""
    following = line[at + 1 : at + 2]
    if following == "x":
        digits = line[at + 2 : at + 4]
        if len(digits) != 2:
            raise UnreadableError("\\x needs two digits")
        return chr(int(digits, 16)), 4
    if following in _NAMED:
        return _NAMED[following], 2
    if following and following in (" \\#'\"$" if weak else " \\#'\""):
        return following, 2
    return "\\", 1


def log_format(word: str) -> str:
    """The text that a log-format string without variables stands for."""
    text, at = [], 0
    while at < len(word):
        if word[at] == "%":
            if word[at : at + 2] != "%%":
                raise UnreadableError(f"a variable in {word!r}")
            at += 1
        text.append(word[at])
        at += 1
    return "".join(text)


def fetch(word: str) -> tuple[str, list[str]]:
    """`name("a",b)` → (name, its arguments): the keyword argument parser, which is the same but for \\#, \\$ and \\xNN."""
    name, opened, rest = word.partition("(")
    if not opened:
        return name, []
    arguments: list[str] = []
    current: list[str] = []
    strong = weak = False
    at = 0
    while at < len(rest):
        char = rest[at]
        if char == '"' and not strong:
            weak = not weak
        elif char == "'" and not weak:
            strong = not strong
        elif char == "\\" and not strong and rest[at + 1 : at + 2] in tuple(" \\'\"nrt"):
            at += 1
            current.append(_NAMED.get(rest[at], rest[at]))
        elif char == ")" and not strong and not weak:
            if rest[at + 1 :]:
                raise UnreadableError(f"something behind the arguments in {word!r}")
            return name, [*arguments, "".join(current)]
        elif char == "," and not strong and not weak:
            arguments.append("".join(current))
            current = []
        else:
            current.append(char)
        at += 1
    raise UnreadableError(f"the arguments do not end in {word!r}")


def directives(configuration: str) -> list[tuple[str, int]]:
    """(first word, number of words) of each line that has any: what a configuration says, whatever is in its strings."""
    split = (words(line) for line in configuration.split("\n"))
    return [(line[0], len(line)) for line in split if line]
