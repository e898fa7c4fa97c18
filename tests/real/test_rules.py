"""Every type of L7 rule with every way to compare, as it is and inverted, through real HAProxy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from support.graphs import listener, policy, pool, rule
from support.serving import serve

from compiler.secrets import Secret
from hydria.lab.backends import HttpBackend
from hydria.lab.certificates import Authority, Certificate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.serving import Serving

    from agent.haproxy import Haproxy

pytestmark = pytest.mark.third_haproxy

MATCHED = "http://matched.example/"


class Case(NamedTuple):
    """A rule, requests that it is true of, and requests that it is not. Each is keyword arguments of `Serving.fetch`."""

    name: str
    rule: dict[str, Any]
    true: list[dict[str, Any]]
    false: list[dict[str, Any]]


def hosts(*names: str) -> list[dict[str, Any]]:
    return [{"host": name} for name in names]


def paths(*targets: str) -> list[dict[str, Any]]:
    return [{"target": target} for target in targets]


def colours(*values: str | bytes) -> list[dict[str, Any]]:
    return [{"headers": {"X-Colour": value}} for value in values]


def tastes(*values: str) -> list[dict[str, Any]]:
    return [{"headers": {"Cookie": f"first=1; taste={value}; last=9"}} for value in values]


CASES = [
    Case(
        "host-regex",
        rule("HOST_NAME", "REGEX", r"^(www|api)[0-9]*\.example\.com$"),
        hosts("www.example.com", "API7.Example.COM", "www1.example.com:8080"),
        hosts("www.example.org", "xwww.example.com", "www.example.com.evil.org"),
    ),
    Case("host-starts", rule("HOST_NAME", "STARTS_WITH", "api."), hosts("api.example.com", "API.x"), hosts("www.api.com", "ap.i")),
    Case(
        "host-ends",
        rule("HOST_NAME", "ENDS_WITH", ".Example.com"),
        hosts("a.example.com", "b.EXAMPLE.com:81"),
        hosts("example.com", "a.example.com.org"),
    ),
    Case("host-contains", rule("HOST_NAME", "CONTAINS", "Shop"), hosts("my-shop.example", "SHOP"), hosts("sho.p", "example.com")),
    Case(
        "host-equal",
        rule("HOST_NAME", "EQUAL_TO", "www.example.com"),
        hosts("www.example.com", "WWW.EXAMPLE.COM", "www.example.com:8443"),
        hosts("www.example.co", "a.www.example.com", "example.com"),
    ),
    Case(
        "path-regex",
        rule("PATH", "REGEX", r"^/v[0-9]+/(cat|dog)s?$"),
        paths("/v1/cat", "/v22/dogs?x=/no"),
        paths("/v/cat", "/v1/cow", "/x/v1/cat"),
    ),
    Case("path-starts", rule("PATH", "STARTS_WITH", "/api"), paths("/api", "/api/x", "/apiary"), paths("/", "/x/api", "/Api", "/?/api")),
    Case("path-ends", rule("PATH", "ENDS_WITH", "/end"), paths("/end", "/the/end", "/end?x=1"), paths("/end/", "/ending", "/?x=/end")),
    Case("path-contains", rule("PATH", "CONTAINS", "/in/"), paths("/in/", "/a/in/b"), paths("/in", "/inn/", "/?x=/in/")),
    Case("path-equal", rule("PATH", "EQUAL_TO", "/exact"), paths("/exact", "/exact?x=1"), paths("/exact/", "/exac", "/Exact", "/x/exact")),
    Case(
        "type-equal",
        rule("FILE_TYPE", "EQUAL_TO", "jpg"),
        paths("/a.jpg", "/b/c.d.jpg?x=.png"),
        paths("/a.png", "/jpg", "/a.jpg/b", "/a.jpgs", "/?a.jpg"),
    ),
    Case(
        "type-regex",
        rule("FILE_TYPE", "REGEX", r"\.(jpe?g|png)$"),
        paths("/a.jpg", "/a.jpeg", "/x/y.png?q"),
        paths("/a.gif", "/a.jpgx", "/png", "/a.png/b"),
    ),
    Case(
        "header-regex",
        rule("HEADER", "REGEX", "^(red|blue)[0-9]$", key="X-Colour"),
        colours("red1", "blue2"),
        [*colours("red", "xred1"), {}],
    ),
    Case("header-starts", rule("HEADER", "STARTS_WITH", "re", key="x-colour"), colours("red", "re"), [*colours("are", "Red"), {}]),
    Case("header-ends", rule("HEADER", "ENDS_WITH", "ed", key="X-Colour"), colours("red", "ed"), [*colours("edge", "reD"), {}]),
    Case("header-contains", rule("HEADER", "CONTAINS", "e", key="X-COLOUR"), colours("red", "e"), [*colours("rd", "E"), {}]),
    Case("header-equal", rule("HEADER", "EQUAL_TO", "red", key="X-Colour"), colours("red"), [*colours("reds", "ared", "RED", "re"), {}]),
    Case("cookie-regex", rule("COOKIE", "REGEX", "^s(weet|our)$", key="taste"), tastes("sweet", "sour"), [*tastes("sweeter", "salt"), {}]),
    Case("cookie-starts", rule("COOKIE", "STARTS_WITH", "sw", key="taste"), tastes("sweet", "sw"), [*tastes("asweet", "Sweet"), {}]),
    Case("cookie-ends", rule("COOKIE", "ENDS_WITH", "et", key="taste"), tastes("sweet", "et"), [*tastes("sweets", "swEt"), {}]),
    Case("cookie-contains", rule("COOKIE", "CONTAINS", "wee", key="taste"), tastes("sweet", "wee"), [*tastes("swet", "WEE"), {}]),
    Case(
        "cookie-equal",
        rule("COOKIE", "EQUAL_TO", "sweet", key="taste"),
        tastes("sweet"),
        [*tastes("sweets", "swee", "Sweet"), {"headers": {"Cookie": "distaste=sweet"}}, {}],
    ),
]

# The client certificate of a request, by name; "none" shows none.
BY_CERTIFICATE = [
    Case("has-certificate", rule("SSL_CONN_HAS_CERT", "EQUAL_TO", "True"), [{"as": "ann"}, {"as": "bob"}], [{"as": "none"}]),
    Case("verify-result", rule("SSL_VERIFY_RESULT", "EQUAL_TO", "0"), [{"as": "ann"}, {"as": "none"}], []),
    Case("verify-result-other", rule("SSL_VERIFY_RESULT", "EQUAL_TO", "10"), [], [{"as": "ann"}, {"as": "none"}]),
    Case("dn-regex", rule("SSL_DN_FIELD", "REGEX", "^a.n$", key="CN"), [{"as": "ann"}], [{"as": "bob"}, {"as": "none"}]),
    Case("dn-starts", rule("SSL_DN_FIELD", "STARTS_WITH", "North", key="O"), [{"as": "ann"}], [{"as": "bob"}, {"as": "none"}]),
    Case("dn-ends", rule("SSL_DN_FIELD", "ENDS_WITH", "Sea", key="O"), [{"as": "ann"}, {"as": "bob"}], [{"as": "none"}]),
    Case("dn-contains", rule("SSL_DN_FIELD", "CONTAINS", "th S", key="O"), [{"as": "ann"}, {"as": "bob"}], [{"as": "none"}]),
    Case("dn-equal", rule("SSL_DN_FIELD", "EQUAL_TO", "bob", key="CN"), [{"as": "bob"}], [{"as": "ann"}, {"as": "none"}]),
]

INVERTED = [pytest.param(False, id="plain"), pytest.param(True, id="inverted")]


def of_case(cases: list[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=[case.name for case in cases])


def listener_of(case: Case, invert: bool, **fields: Any) -> dict[str, Any]:
    found = policy("REDIRECT_TO_URL", {**case.rule, "invert": invert}, redirect_url=MATCHED)
    return listener(f"{case.name}/{invert}", "default", found, **fields)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def clients(authority: Authority) -> dict[str, Certificate | None]:
    return {
        "ann": authority.client("ann", organisation="North Sea"),
        "bob": authority.client("bob", organisation="South Sea"),
        "none": None,
    }


@pytest.fixture(scope="module")
def serving(haproxy: Haproxy, authority: Authority) -> Iterator[Serving]:
    secrets = {"server": Secret(authority.server("lab.example").bundle_pem), "clients": Secret(authority.certificate_pem)}
    tls = {
        "protocol": "TERMINATED_HTTPS",
        "default_tls_container_ref": "server",
        "client_ca_tls_container_ref": "clients",
        "client_authentication": "OPTIONAL",
    }
    with HttpBackend("default") as backend:
        listeners = [listener_of(case, invert) for case in CASES for invert in (False, True)]
        listeners += [listener_of(case, invert, **tls) for case in BY_CERTIFICATE for invert in (False, True)]
        with serve(haproxy, listeners, [pool("default", backend)], secrets=secrets) as serving:
            yield serving


@pytest.mark.parametrize("invert", INVERTED)
@of_case(CASES)
def test_a_rule_tells_requests_apart(serving: Serving, case: Case, invert: bool) -> None:
    name = f"{case.name}/{invert}"
    expected = [True] * len(case.true) + [False] * len(case.false)
    seen = []
    for request in [*case.true, *case.false]:
        answer = serving.fetch(name, **request)
        assert (answer.status, answer.location) in {(302, MATCHED), (200, None)}, (request, answer)
        seen.append((answer.status == 302) is not invert)
    assert seen == expected, list(zip([*case.true, *case.false], seen, strict=True))


@pytest.mark.parametrize("invert", INVERTED)
@of_case(BY_CERTIFICATE)
def test_a_rule_tells_client_certificates_apart(
    serving: Serving, authority: Authority, clients: dict[str, Certificate | None], case: Case, invert: bool
) -> None:
    name = f"{case.name}/{invert}"
    for expected, requests in ((True, case.true), (False, case.false)):
        for request in requests:
            answer = serving.fetch(name, tls=authority.client_context(certificate=clients[request["as"]]))
            assert (answer.status == 302) is (expected is not invert), (request, answer)
