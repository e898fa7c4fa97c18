"""Whether an L7 rule is true of a request, as the HAProxy that `lower.frontends` configures would find.

HAProxy compares bytes: of each rule's fetch it tries every sample (configuration manual 7.1), and a request that has none makes the rule
false (and an inverted one true). Python's `re` stands in for its PCRE; where the two read a regular expression differently, the answer
is that it cannot be told.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable

import msgspec

from compiler.graph import L7Rule

# What both accept and take for different things: POSIX classes, `{,n}`, and \v (a vertical tab, or any vertical white space).
_READ_DIFFERENTLY = re.compile(rb"\[[.:=]|\{,\d+\}|(?<!\\)(?:\\\\)*\\v")
_COMPARE: dict[str, Callable[[bytes, bytes], bool]] = {
    "STARTS_WITH": bytes.startswith,
    "ENDS_WITH": bytes.endswith,
    "CONTAINS": lambda sample, value: value in sample,
    "EQUAL_TO": lambda sample, value: sample == value,
}
_COOKIE = re.compile(
    r"""[ \t]* (?P<name> [^=;,]*? ) [ \t]* (?: = [ \t]* (?P<value> (?: "(?:\\.|[^"\\])*(?:"|\\?$) | [^";,] )* ) )? (?: [;,] | $ )""",
    re.VERBOSE | re.DOTALL,
)
_PORT = re.compile(rb":[0-9]*\Z")


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP request, as its client sends it. `target` is path and query; a header may come more than once, `Host` is one of them.

    `subject`: what a client's certificate says of whom it is for, as (field, value); None for a client that shows none.
    """

    target: str = "/"
    headers: tuple[tuple[str, str], ...] = ()
    subject: tuple[tuple[str, str], ...] | None = None

    @property
    def path(self) -> str:
        """The target without its query (RFC 9110 4.2.3)."""
        return self.target.partition("?")[0]

    def values(self, name: str) -> list[str]:
        """The values of the headers of this name, one a line, without the white space around them (RFC 9110 5.5)."""
        return [value.strip(" \t") for key, value in self.headers if key.lower() == name.lower()]

    def cookies(self, name: str) -> list[str]:
        """The values of the cookies of this name (RFC 6265 4.2.1); a comma ends one too, unless it stands in quotes (RFC 2965 3.2.2)."""
        return [
            found["value"].rstrip(" \t")
            for line in self.values("cookie")
            for found in _COOKIE.finditer(line)
            if found["value"] is not None and found["name"] == name
        ]


class Verdict(msgspec.Struct, frozen=True):
    """Whether a rule (with its `invert`) is true, None where that cannot be told; and because of what."""

    true: bool | None
    because: str


def judge(rule: L7Rule, request: Request) -> Verdict:
    """The rule's verdict on the request."""
    if rule.type == "SSL_VERIFY_RESULT":
        # Only who has passed the verification, or shows no certificate, comes as far as sending a request.
        return _verdict(rule, found=int(rule.value) == 0, because="the verification's result is 0")
    if rule.type == "SSL_CONN_HAS_CERT":
        shown = "a" if request.subject is not None else "no"
        return _verdict(rule, found=request.subject is not None, because=f"the client shows {shown} certificate")
    what, samples = _samples(rule, request)
    if not samples:
        return _verdict(rule, found=False, because=f"there is no {what}")
    because = f"the {what} is {' and '.join(map(quoted, samples))}"
    if rule.compare_type == "REGEX":
        pattern = _pattern(rule)
        if isinstance(pattern, str):
            return Verdict(None, pattern)
        return _verdict(rule, found=any(pattern.search(_bytes(sample)) for sample in samples), because=because)
    compare, value = _COMPARE[rule.compare_type], rule.value
    if rule.type == "FILE_TYPE":
        compare, value = bytes.endswith, f".{value.removeprefix('.')}"
    if rule.type == "HOST_NAME":
        value = _lower(value)
        samples = [_lower(sample) for sample in samples]
    return _verdict(rule, found=any(compare(_bytes(sample), _bytes(value)) for sample in samples), because=because)


def _verdict(rule: L7Rule, *, found: bool, because: str) -> Verdict:
    return Verdict(found is not rule.invert, because)


def _samples(rule: L7Rule, request: Request) -> tuple[str, list[str]]:
    """What the rule looks at, in words, and each value that it has in the request."""
    key = rule.key or ""
    if rule.type == "HOST_NAME":
        hosts = [part for value in request.values("host") for part in elements(value)]
        return "host", [_PORT.sub(b"", _bytes(host)).decode(errors="surrogateescape") for host in hosts]
    if rule.type == "HEADER":
        values = request.values(key)
        # Each value of a list, and each header as a whole.
        return f"header {key}", list(dict.fromkeys([part for value in values for part in elements(value)] + values))
    if rule.type == "COOKIE":
        return f"cookie {key}", request.cookies(key)
    if rule.type == "SSL_DN_FIELD":
        return f"field {key} of a certificate", [value for name, value in request.subject or () if name == key][:1]
    return "path", [request.path]


def elements(value: str) -> list[str]:
    """The elements of a header's list (RFC 9110 5.6.1): what is between commas that stand in no quotes. Empty ones are elements too."""
    found, start, inside, escaped = [], 0, False, False
    for place, character in enumerate(value):
        if escaped:
            escaped = False
        elif character == "\\" and inside:
            escaped = True
        elif character == '"':
            inside = not inside
        elif character == "," and not inside:
            found.append(value[start:place].strip(" \t"))
            start = place + 1
    return [*found, value[start:].strip(" \t")]


def _pattern(rule: L7Rule) -> re.Pattern[bytes] | str:
    """The regular expression, or why it cannot be told what HAProxy makes of it."""
    text = _bytes(rule.value)
    unlike = _READ_DIFFERENTLY.search(text)
    if unlike:
        return f"HAProxy's PCRE reads {quoted(unlike[0].decode())} differently from the regular expressions that are known here"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)  # a set that Python will read differently one day
            return re.compile(text, re.IGNORECASE if rule.type == "HOST_NAME" else 0)
    except (re.error, FutureWarning, OverflowError, RecursionError) as error:
        return f"only HAProxy's PCRE can tell: {error}"


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


def _lower(text: str) -> str:
    # ASCII alone, as HAProxy does.
    return _bytes(text).lower().decode(errors="surrogateescape")


def quoted(text: str) -> str:
    """A user's text within a sentence; nothing in it is altered."""
    return f'"{text}"'
