"""Strings full of what means something to HAProxy, in a running HAProxy: they reach traffic as they are.

Many values are in one load balancer, which runs once for each example. What a value should do is told by the same comparison on plain
bytes. Values are not shrunk: a failure names the one that it is about.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import hostile
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.graphs import listener, path_is, policy, pool, rule
from support.polling import eventually
from support.serving import serve

from hydria.lab.backends import HttpBackend

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.graphs import Part
    from support.serving import Serving

    from agent.haproxy import Haproxy

pytestmark = pytest.mark.third_haproxy

once = settings(
    max_examples=2, deadline=None, database=None, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck)
)

_PIECES = [piece for piece in hostile.PIECES if hostile.expressible(piece)]
#: What names may be made of (RFC 9110 5.6.2).
_TOKEN = "abXZ09!#$%&'*+.^_`|~-"
tokens = st.text(_TOKEN, min_size=1, max_size=8)
#: HAProxy overlooks cookies whose names begin with $: RFC 2965 (3.3.4) had these for itself.
cookie_names = tokens.filter(lambda name: not name.startswith("$"))


def made_of(without: str = "", *, ascii_only: bool = False) -> st.SearchStrategy[str]:
    """Hostile texts without some characters, and without blanks at their ends, which no header's value has (RFC 9110 5.5)."""
    pieces = [piece for piece in _PIECES if not set(piece) & set(without) and (piece.isascii() or not ascii_only)]
    return st.lists(st.sampled_from(pieces), min_size=1, max_size=4).map(lambda some: "".join(some).strip(" ") or "-")


class Kind(NamedTuple):
    """A type of rule: values that HTTP can carry to it, and the request that carries one. All that is carried begins with `start`."""

    values: st.SearchStrategy[str]
    request: Callable[[bytes, str], Part]
    keys: st.SearchStrategy[str] | None = None
    ignores_case: bool = False
    start: str = ""
    comparisons: tuple[str, ...] = ("EQUAL_TO", "STARTS_WITH", "ENDS_WITH", "CONTAINS", "REGEX")


KINDS = {
    # A comma separates several values; each is looked at for itself, and all together (tests/real has that).
    "HEADER": Kind(made_of(","), lambda text, key: {"headers": {key: text}}, tokens.map("X{}".format)),
    # A semicolon or comma ends a cookie's value, except between double quotes (RFC 6265 4.1.1 has none of them in it).
    "COOKIE": Kind(made_of(';,"'), lambda text, key: {"headers": {"Cookie": key.encode() + b"=" + text}}, cookie_names),
    # A question mark ends a path; HAProxy refuses (400) requests whose path holds a blank, a hash, or anything that is not ASCII.
    "PATH": Kind(made_of(" ?#", ascii_only=True), lambda text, _: {"target": text}, start="/"),
    "FILE_TYPE": Kind(made_of(" ?#", ascii_only=True), lambda text, _: {"target": text}, start="/", comparisons=("EQUAL_TO", "REGEX")),
    # A colon begins a port, a comma separates several; the others HAProxy 2.8 refuses (400), and what is not ASCII.
    "HOST_NAME": Kind(made_of(":, #/?@[\\]", ascii_only=True), lambda text, _: {"headers": {"Host": text}}, ignores_case=True),
}


def pattern_of(text: str) -> str:
    """A regular expression of this text alone: in PCRE a backslash takes the meaning from anything that is not a letter or a digit."""
    return "^" + re.sub(r"([ -/:-@\[-`{-~])", r"\\\1", text) + "$"


def holds(kind: str, comparison: str, text: bytes, value: bytes) -> bool:
    """Whether the rule is true of a request that carries the text."""
    if kind == "FILE_TYPE" and comparison == "EQUAL_TO":
        return text.endswith(b"." + value.removeprefix(b"."))
    if KINDS[kind].ignores_case:
        text, value = text.lower(), value.lower()
    return {
        "EQUAL_TO": text == value,
        "STARTS_WITH": text.startswith(value),
        "ENDS_WITH": text.endswith(value),
        "CONTAINS": value in text,
        "REGEX": text == value,
    }[comparison]


class Case(NamedTuple):
    """A rule with a value, in a policy of its own that `number` asks for."""

    number: int
    kind: str
    comparison: str
    value: str
    key: str
    invert: bool

    @property
    def policy(self) -> Part:
        value = pattern_of(self.value) if self.comparison == "REGEX" else self.value
        keyed = {"key": self.key} if self.key else {}
        asked = rule("HEADER", "EQUAL_TO", str(self.number), key="Lab-Number")
        tested = rule(self.kind, self.comparison, value, invert=self.invert, **keyed)
        return policy("REDIRECT_TO_URL", asked, tested, redirect_url=f"http://m.example/{self.number}")


class Cases(list[Case]):
    """What one load balancer has; too many to be shown when one of them fails, which then names itself."""

    def __repr__(self) -> str:
        return f"<{len(self)} cases>"


@st.composite
def cases(draw: st.DrawFn, each: int = 6) -> Cases:
    """Some values for every type and comparison."""
    found = Cases()
    for name, kind in KINDS.items():
        for comparison in kind.comparisons * each:
            whole = comparison in ("STARTS_WITH", "REGEX") or (comparison == "EQUAL_TO" and name == "PATH")
            value = (kind.start if whole else "") + draw(kind.values)
            key = "" if kind.keys is None else draw(kind.keys)
            found.append(Case(len(found), name, comparison, value, key, draw(st.booleans())))
    return found


def texts_around(case: Case) -> list[bytes]:
    """What a request may carry that is the value, nearly the value, or something else."""
    value, start = case.value, KINDS[case.kind].start
    near = [value, f"<{value}", f"{value}>", f"<{value}>", value[:-1], value[1:], f".{value}", f"x.{value}", "other"]
    stripped = [text.strip(" ") for text in near]
    return [(text if text.startswith(start) else start + text).encode() for text in stripped if text]


@given(cases())
@once
def test_a_rule_holds_of_what_it_says_and_of_nothing_else(haproxy: Haproxy, some: Cases) -> None:
    listeners = [listener(kind, None, *(case.policy for case in some if case.kind == kind)) for kind in KINDS]
    both = set()
    with serve(haproxy, listeners) as serving:
        for case in some:
            for text in texts_around(case):
                request = KINDS[case.kind].request(text, case.key)
                request["headers"] = {**request.get("headers", {}), "Lab-Number": str(case.number)}
                answer = serving.fetch(case.kind, **request)
                it_holds = holds(case.kind, case.comparison, text, case.value.encode())
                both.add((case.kind, case.comparison, it_holds))
                expected = f"http://m.example/{case.number}" if it_holds is not case.invert else None
                assert (answer.status, answer.location) == (302 if expected else 503, expected), (case, text)
    assert both == {
        (name, comparison, it_holds) for name, kind in KINDS.items() for comparison in kind.comparisons for it_holds in (True, False)
    }


#: A Location holds no blanks; whatever is beyond ASCII goes as UTF-8.
_urls = st.lists(made_of(" "), min_size=20, max_size=20).map(lambda texts: [f"http://m.example/{text}" for text in texts])


@given(_urls, _urls)
@once
def test_a_redirect_leads_where_it_is_said_to(haproxy: Haproxy, urls: list[str], prefixes: list[str]) -> None:
    by_url = [policy("REDIRECT_TO_URL", path_is(f"/{n}"), redirect_url=url) for n, url in enumerate(urls)]
    by_prefix = [policy("REDIRECT_PREFIX", path_is(f"/{n}"), redirect_prefix=url) for n, url in enumerate(prefixes)]
    with serve(haproxy, [listener("urls", None, *by_url), listener("prefixes", None, *by_prefix)]) as serving:
        for n, url in enumerate(urls):
            assert (serving.fetch("urls", f"/{n}").location or "").encode("latin-1") == url.encode(), url
        for n, url in enumerate(prefixes):
            assert (serving.fetch("prefixes", f"/{n}?a=1").location or "").encode("latin-1") == f"{url}/{n}?a=1".encode(), url


def served_by(serving: Serving, name: str, **headers: str) -> str | None:
    return serving.fetch(name, headers=headers).name


@given(st.lists(cookie_names, min_size=8, max_size=8))
@once
def test_a_cookie_of_this_name_and_no_other_keeps_its_client(haproxy: Haproxy, cookies: list[str]) -> None:
    with HttpBackend("one") as one, HttpBackend("two") as two:
        pools = [pool(f"{n}", one, two, session_persistence={"type": "APP_COOKIE", "cookie_name": name}) for n, name in enumerate(cookies)]
        with serve(haproxy, [listener(f"{n}", f"{n}") for n in range(len(cookies))], pools) as serving:
            for n, name in enumerate(cookies):
                chosen = served_by(serving, f"{n}", **{"X-Lab-Set-Cookie": f"{name}=visit; Path=/"})
                assert [served_by(serving, f"{n}", Cookie=f"{name}=visit") for _ in range(4)] == [chosen] * 4, name
                others = {served_by(serving, f"{n}", Cookie=f"{other}=visit") for other in (f"{name}x", f"x{name}") for _ in range(2)}
                assert others == {"one", "two"}, name


#: What a path may be of for HAProxy's own request; nobody refuses bytes beyond ASCII here.
_check_paths = st.lists(made_of(" ").map("/{}".format), min_size=20, max_size=20, unique=True)
_host_names = st.text("abXZ09_.-", min_size=1, max_size=12)


@given(_check_paths, st.lists(_host_names, min_size=20, max_size=20))
@once
def test_a_member_is_asked_for_what_its_monitor_says(haproxy: Haproxy, paths: list[str], hosts: list[str]) -> None:
    with HttpBackend("member") as backend:
        monitor: Part = {"type": "HTTP", "delay": 2, "timeout": 1, "max_retries": 1, "http_version": "1.1"}
        pools = [
            pool(f"{n}", backend, healthmonitor={**monitor, "url_path": path, "domain_name": host})
            for n, (path, host) in enumerate(zip(paths, hosts, strict=True))
        ]
        uses = [policy("REDIRECT_TO_POOL", path_is(f"/{n}"), redirect_pool=f"{n}") for n in range(len(paths))]
        with serve(haproxy, [listener("front", None, *uses)], pools):
            expected = {(f"GET {path} HTTP/1.1".encode(), host.encode()) for path, host in zip(paths, hosts, strict=True)}

            def asked() -> set[tuple[bytes, bytes]]:
                return {
                    (f"{seen.method} {seen.target} {seen.version}".encode("latin-1"), (seen.header("Host") or "").encode("latin-1"))
                    for seen in tuple(backend.requests)
                }

            eventually(lambda: len(asked()) >= len(expected) and asked(), "a check for every monitor")
            assert asked() == expected
