"""The demonstration's requests: each asks something of the running load balancer and says what should come of it.

What is expected follows from the example alone; what is answered was seen by the client or the backend.
"""

from __future__ import annotations

import ssl
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hydria.lab.client import Answer, fetch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from hydria.lab.certificates import Authority, Certificate
    from hydria.lab.client import Address

#: Where the clients of the hashed pool come from where nothing else is said: all of 127.0.0.0/8 is this machine.
CLIENTS = tuple(f"127.0.{third}.{fourth}" for third in (1, 2, 3) for fourth in range(10, 26))


@dataclass(frozen=True)
class Finding:
    """One row of the table."""

    asked: str
    expected: str
    answered: str
    right: bool


def exactly(asked: str, expected: str, answered: str) -> Finding:
    """A finding that is right when the answer is word for word what was expected."""
    return Finding(asked, expected, answered, expected == answered)


@dataclass(frozen=True)
class Place:
    """What the requests are made to. `pools` is the document's, and may be changed; `reload` makes HAProxy serve the change. `clients` are the
    addresses that clients of the hashed pool come from, `visitor` is that of another.
    """

    listeners: Mapping[str, Address]
    authority: Authority
    certificates: Mapping[str, Certificate]
    pools: Mapping[str, dict[str, Any]]
    reload: Callable[[], None]
    clients: Sequence[str] = CLIENTS
    visitor: str = "127.0.0.77"

    def http(self, target: str, **keywords: Any) -> Answer:
        """One request to the HTTP listener."""
        return fetch(self.listeners["web"], target, host="shop.example", **keywords)

    def https(self, name: str) -> Answer:
        """One request to the TERMINATED_HTTPS listener, for this server."""
        return fetch(self.listeners["secure"], host=name, tls=self.authority.client_context(), server_name=name)

    def names(self, pool: str) -> list[str]:
        """The members of a pool."""
        return [member["name"] for member in self.pools[pool]["members"]]

    def carts(self) -> dict[str, str | None]:
        """Who serves each client of the hashed pool."""
        return {client: self.http("/cart", source=client).name for client in self.clients}


def tour(place: Place) -> Iterator[Finding]:
    """Makes all requests, one finding after the other."""
    yield from _listeners(place)
    yield from _policies(place)
    yield from _certificates(place)
    yield from _hashing(place)


def _listeners(place: Place) -> Iterator[Finding]:
    pages = place.names("pages")
    turns = Counter(place.http("/").name for _ in range(2 * len(pages)))
    yield exactly(f"GET / {2 * len(pages)} times (ROUND_ROBIN)", _counts(dict.fromkeys(pages, 2)), _counts(turns))
    seen = place.http("/", source=place.visitor).json()["headers"]
    told = [value for name, value in seen if name.lower() in {"x-forwarded-for", "x-forwarded-proto"}]
    yield exactly(f"GET / from {place.visitor}: what the member is told", f"{place.visitor}, http", ", ".join(sorted(told)))


def _policies(place: Place) -> Iterator[Finding]:
    yield exactly("GET /admin/users (policy: REJECT)", "403 from the load balancer", _shown(place.http("/admin/users")))
    redirect = "301 to https://shop.example/sale?from=old&year=2026"
    yield exactly("GET /old&sale (policy: REDIRECT_TO_URL)", redirect, _shown(place.http("/old&sale")))
    yield _by_one_of("GET /cart/7 (policy: REDIRECT_TO_POOL)", place.names("carts"), place.http("/cart/7"))
    yield _by_one_of("GET https://anna.blog.example/ (policy: REDIRECT_TO_POOL)", place.names("blogs"), place.https("anna.blog.example"))


def _certificates(place: Place) -> Iterator[Finding]:
    for name, expected in (("shop.example", "shop"), ("anna.blog.example", "blog"), ("unknown.example", "default")):
        answer = place.https(name)
        shown = next((key for key, made in place.certificates.items() if made.der == answer.certificate), "another")
        yield exactly(f"TLS for {name}", f"200, certificate {expected!r}", f"{answer.status}, certificate {shown!r}")
    told = [value for key, value in place.https("shop.example").json()["headers"] if key.lower() == "x-forwarded-proto"]
    yield exactly("GET https://shop.example/: what the member is told", "https", ", ".join(told))
    try:
        answered = _shown(fetch(place.listeners["secure"], tls=ssl.create_default_context(), server_name="shop.example"))
    except ssl.SSLCertVerificationError:
        answered = "certificate refused"
    yield exactly("TLS by a client who does not know the lab's authority", "certificate refused", answered)


def _hashing(place: Place) -> Iterator[Finding]:
    pool = place.pools["carts"]
    members = list(pool["members"])
    first = place.carts()
    share = Counter(first.values())
    expected = "each of " + ", ".join(place.names("carts"))
    yield Finding(
        f"GET /cart from {len(place.clients)} clients (SOURCE_IP)", expected, _counts(share), set(share) == set(place.names("carts"))
    )
    yield _stayed(f"the same {len(place.clients)} clients again", first, place.carts())

    busiest, clients = share.most_common(1)[0]
    others = {client: name for client, name in first.items() if name != busiest}
    pool["members"] = [member for member in members if member["name"] != busiest]
    place.reload()
    after = place.carts()
    heirs = Counter(name for client, name in after.items() if client not in others)
    yield Finding(f"{busiest} removed: its {clients} clients", "the other members", _counts(heirs), set(heirs) <= set(place.names("carts")))
    yield _stayed(f"{busiest} removed: the other {len(others)} clients", others, after)

    pool["members"] = members[::-1]
    place.reload()
    yield _stayed(f"{busiest} back, members in another order", first, place.carts())


def _by_one_of(asked: str, names: list[str], answer: Answer) -> Finding:
    expected = names[0] if len(names) == 1 else "one of " + ", ".join(names)
    return Finding(asked, expected, answer.name or _shown(answer), answer.name in names)


def _stayed(asked: str, before: Mapping[str, str | None], after: Mapping[str, str | None]) -> Finding:
    moved = sum(after[client] != name for client, name in before.items())
    return exactly(asked, "all with their member", f"{moved} moved" if moved else "all with their member")


def _counts(counts: Mapping[str | None, int] | Mapping[str, int]) -> str:
    return ", ".join(f"{count} by {name or 'nobody'}" for name, count in sorted(counts.items(), key=str))


def _shown(answer: Answer) -> str:
    return f"{answer.status} to {answer.location}" if answer.location else f"{answer.status} from {answer.name or 'the load balancer'}"
