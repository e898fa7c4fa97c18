"""How keepalived, nft and HAProxy's lists cut their files into words: oracles for what becomes of a string there.

Written from keepalived.conf(5) ("Configuration syntax"), nft(8) ("Lexical conventions") and HAProxy's configuration manual (5.1 crt-list, 7.1 -f).
"""

from __future__ import annotations

import re


class UnreadableError(ValueError):
    """The program would read something else than text here."""


def keepalived(line: str) -> list[str]:
    """The words of a line of keepalived's. A comment begins at ! or #, even in quotes; braces are words wherever they are. Parameters
    ($), conditions (@), repetitions (~) and lines that go on (a backslash) are errors: nothing here may use them.
    """
    text = re.split("[!#]", line, maxsplit=1)[0]
    if re.search(r"[$\\~]", text) or text.lstrip().startswith("@") or text.count('"') % 2:
        raise UnreadableError(line)
    return re.findall(r'"[^"]*"|[{}]|[^\s{}"]+', text)


def nft(line: str) -> list[str]:
    """The words of a line of nft's, in which commands end at ; and comments begin at #. Variables ($) and escapes are errors."""
    text = line.split("#", 1)[0]
    if re.search(r"[$\\@]", text) or text.count('"') % 2:
        raise UnreadableError(line)
    return re.findall(r'"[^"]*"|[{};,]|[^\s{};,"]+', text)


def patterns(line: str) -> list[str]:
    """The pattern of a line of a list for -f: all of it behind its first blanks. A comment begins at a # that begins the line."""
    text = line.lstrip(" \t")
    return [text] if text and not line.startswith("#") else []


def listed(line: str) -> list[str]:
    """The words of a line of a list that HAProxy reads; comments begin at #, a crt-list's options are in brackets."""
    return re.findall(r"[\[\]]|[^\s\[\]]+", line.split("#", 1)[0])
