"""The one place where strings become configuration text.

Templates are given `Word`s and numbers, nothing else (`render.py` refuses a plain `str`), and only the functions here make `Word`s.
Each names the grammar that it writes for. A string that a grammar cannot hold is never altered: `Inexpressible` is raised, and
`reason_against` lets `compiler.check` tell the user beforehand.

HAProxy reads a line in up to three grammars, one inside the other:

1. the line, cut into words (configuration manual 2.2): `word`;
2. inside a word, the arguments of a sample fetch, with quotes of their own (2.2, "second level of quoting"): `fetch`;
3. inside a word, a log-format string in which `%` opens a variable (8.2.6): `log_format`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence

from compiler.errors import CompilerError


class Inexpressible(CompilerError):  # noqa: N818  (it says what the value is; callers turn it into a Problem)
    """The string has no form in the grammar asked for."""

    code = "inexpressible"


class Word(str):
    """Finished text of a configuration file. Made here only; any operation on it yields a plain `str` again, which templates refuse."""

    __slots__ = ()


class Words(tuple[str, ...]):
    """Many finished words as one value: where there are hundreds of thousands, an object for each would be felt."""

    __slots__ = ()


_BARE = re.compile(r"[A-Za-z0-9_./:@%+,=~^!?*;&|<>()\[\]-]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_KEYWORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]*")
# Patterns of many texts at once, a line each; possessive, because nothing is gained by trying again.
_KEYWORDS = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9_.:-]*+\n)*+")
_ENDPOINTS = re.compile(r"(?:[0-9A-Fa-f\[][0-9A-Fa-f.:\[\]]*+\n)*+")
#: Bytes. HAProxy reads as much of a list at once as it has in a buffer (3.2 `tune.bufsize`, usually 16384), and takes what follows for a line.
_LONGEST_PATTERN = 8192
_HTTP_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_RELATIVE_PATH = re.compile(r"[a-z0-9-]+(?:/[a-z0-9-]+)*\.[a-z-]+(?:\.[a-z]+)?")


def reason_against(text: str) -> str | None:
    """Why `text` cannot be one word of a configuration, or None where it can."""
    if not text:
        return "it is empty"
    match = _CONTROL.search(text)
    if match:
        return f"it holds the control character {match[0]!r} at position {match.start() + 1}"
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"it holds {text[error.start]!r}, which is no character, at position {error.start + 1}"
    return None


def word(text: str) -> Word:
    """Any text as one word: bare where nothing in it means anything to HAProxy, else in strong quotes, inside which nothing does.

    A single quote, which strong quotes cannot hold, is written between two quoted parts, escaped (2.2).
    """
    if _BARE.fullmatch(text):
        return Word(text)
    reason = reason_against(text)
    if reason:
        raise Inexpressible(reason)
    return Word("'" + text.replace("'", "'\\''") + "'")


def pattern(text: str) -> Word:
    """Any text as a line of a list of patterns (7.1 `-f`), where nothing has a meaning but blanks and # at the beginning: the former are
    left out, the latter begins a comment, unless it stands behind a blank.
    """
    if len(text) <= _LONGEST_PATTERN and _BARE.fullmatch(text):
        return Word(text)
    reason = reason_against(text)
    if reason:
        raise Inexpressible(reason)
    if text[0] == " ":
        raise Inexpressible("it begins with a blank, which HAProxy leaves out in a list")
    if len(text.encode()) > _LONGEST_PATTERN:
        raise Inexpressible(f"it is longer than {_LONGEST_PATTERN} bytes, where HAProxy might go on with another pattern")
    return Word(f" {text}" if text[0] == "#" else text)


def log_format(text: str) -> Word:
    """Literal text where HAProxy expects a log-format string (redirect targets, header values): `%` is doubled (8.2.6)."""
    return word(text.replace("%", "%%"))


def fetch(name: str, argument: str) -> Word:
    """A sample fetch with one argument, `req.hdr("X-Key")`. The argument is an HTTP token (RFC 9110 5.6.2), which needs quotes but no escapes."""
    if not _HTTP_TOKEN.fullmatch(argument):
        raise Inexpressible("only letters, digits and !#$%&'*+.^_`|~- are allowed here (an HTTP token)")
    return word(f'{keyword(name)}("{argument}")')


def is_http_token(text: str) -> bool:
    """Whether `text` can name a header or a cookie (RFC 9110 5.6.2, RFC 6265 4.1.1)."""
    return _HTTP_TOKEN.fullmatch(text) is not None


def keyword(text: str) -> Word:
    """A word of HAProxy's or keepalived's own language, or of ours (ids): letters, digits and _.:- ."""
    if not _KEYWORD.fullmatch(text):
        raise Inexpressible(f"{text!r} is not a keyword")
    return Word(text)


def path(text: str) -> Word:
    """The relative path of a file of the bundle; made by us, of lower-case letters, digits and hyphens."""
    if not _RELATIVE_PATH.fullmatch(text):
        raise Inexpressible(f"{text!r} is not a path of a bundle")
    return Word(text)


def endpoint(address: str, port: int) -> Word:
    """`10.0.0.1:80` or `[2001:db8::1]:80` (11.1)."""
    return Word(f"{host(address)}:{port}")


def endpoints(addresses: Sequence[str], ports: Sequence[int]) -> Words:
    """`endpoint` for many, whose addresses have been checked: here only that nothing else can be in them."""
    if ":" in "".join(addresses):
        addresses = [f"[{address}]" if ":" in address else address for address in addresses]
    made = Words(map("%s:%d".__mod__, zip(addresses, ports, strict=True)))
    if not _all_match(_ENDPOINTS, made):
        raise Inexpressible("one of the addresses is none")
    return made


def keywords(texts: Sequence[str]) -> Words:
    """`keyword` for many: looks at all at once."""
    if not _all_match(_KEYWORDS, texts):
        raise Inexpressible("one of the words is not a keyword")
    return Words(texts)


_OCTET = r"(?:2(?:[0-4]\d|5[0-5]|\d?)|1\d?\d?|[3-9]\d?|0)"
_IPV4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}", re.ASCII)
_IPV4S = re.compile(rf"(?:{_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}\n)*+", re.ASCII)


def are_ipv4(texts: Sequence[str]) -> bool:
    """Whether all are IPv4 addresses; for many, faster than asking of each."""
    return _all_match(_IPV4S, texts)


def _all_match(lines: re.Pattern[str], texts: Sequence[str]) -> bool:
    """Whether each text by itself is one of the `lines`."""
    joined = "\n".join([*texts, ""])
    return joined.count("\n") == len(texts) and lines.fullmatch(joined) is not None


def is_address(text: str) -> bool:
    """Whether `text` is an IPv4 or IPv6 address without zone or prefix. (The pattern is for speed: nearly all addresses are IPv4.)"""
    if _IPV4.fullmatch(text):
        return True
    if ":" not in text or "%" in text:
        return False
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def address(text: str) -> Word:
    """An IP address literal."""
    if not is_address(text):
        raise Inexpressible(f"{text!r} is not an IP address")
    return Word(text)


def host(text: str) -> Word:
    """An address where HAProxy would take what follows its last colon for a port (11.1): IPv6 in brackets."""
    return Word(f"[{address(text)}]") if ":" in text else address(text)


def listed(words: Iterable[Word]) -> Word:
    """Finished words with commas between them, as nftables' sets hold them."""
    return Word(", ".join(line(item) for item in words))


def line(*words: Word) -> Word:
    """Finished words, one space between them, as a finished piece of a line."""
    for item in words:
        if type(item) is not Word:
            raise TypeError(f"{item!r} is not a Word")
    return Word(" ".join(words))


def keepalived_reason_against(text: str) -> str | None:
    """Why `text` cannot be a word of keepalived's, or None where it can.

    keepalived begins comments and substitutes parameters even inside quotes (keepalived.conf(5), "Configuration syntax"), so what
    means anything to it is refused: in a URL, which is all that users' strings come to here, such characters have a %-form.
    """
    match = re.search(r"[^A-Za-z0-9_./:@%+,=^?*;&()|<>-]", text)
    if match:
        return f"keepalived cannot take {match[0]!r} (write it in its %-form)"
    return None if text else "it is empty"


def keepalived_word(text: str) -> Word:
    """Text as one word of keepalived's configuration."""
    reason = keepalived_reason_against(text)
    if reason:
        raise Inexpressible(reason)
    return Word(text)


def seconds(milliseconds: int) -> Word:
    """Milliseconds as keepalived writes times: seconds with a fraction (`0.25`)."""
    return Word(f"{milliseconds / 1000:g}")


def network(text: str) -> Word:
    """A network in CIDR form, or an address as the network of it alone."""
    try:
        found = ipaddress.ip_network(text)
    except ValueError as error:
        raise Inexpressible(f"{text!r} is not a network") from error
    if "%" in text:
        raise Inexpressible(f"{text!r} has a zone")
    return Word(str(found))


def negated(name: str) -> Word:
    """`!name`: the condition that the ACL of this name does not hold (7.2)."""
    return Word(f"!{keyword(name)}")


_OWN_WORDS = re.compile(r"[A-Za-z0-9_.,:%{}+()\[\] -]+")


def own(text: str) -> Word:
    """Words of HAProxy's language that Hydria itself wrote down as a constant, such as `hash src,ipmask(24)`. Never with anything from a graph."""
    if not _OWN_WORDS.fullmatch(text):
        raise Inexpressible(f"{text!r} needs quotes; it is not a constant of ours")
    return Word(text)
