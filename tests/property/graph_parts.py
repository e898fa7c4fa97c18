"""What random load balancers are made of: small strategies, and the plain data that they draw."""

from __future__ import annotations

import uuid
from ipaddress import IPv6Address
from typing import Any

from hypothesis import strategies as st

Part = dict[str, Any]

#: The references that graphs made here use; a test gives the secrets for them.
CERTIFICATES = ("default", "first", "second")
AUTHORITY, REVOCATIONS = "authority", "revocations"

uuids = st.builds(lambda number: str(uuid.UUID(int=number)), st.integers(0, 2**128 - 1))
ipv4 = st.ip_addresses(v=4).filter(lambda address: not address.is_unspecified).map(str)
ipv6 = st.ip_addresses(v=6).map(IPv6Address).filter(lambda address: not (address.ipv4_mapped or address).is_unspecified).map(str)
"""Of somebody: not `::`, and not `::ffff:0.0.0.0` either."""
ports = st.integers(1, 65535)
names = st.sampled_from(["", "web", "x\n    http-request deny", "'\"\\#$HOME %[src]", "Grüße 日本 😀", "\u2028\x00\x1e{{ 7 }}"])
#: Mostly up: what is disabled is not written, and nothing then is tested.
mostly = st.sampled_from([True, True, True, True, False])
tokens = st.text("abcXYZ019!#$%&'*+.^_`|~-", min_size=1, max_size=12)
timeouts = st.integers(1, 2**31 - 1)
tls_ciphers = st.sampled_from(["DEFAULT", "ECDHE-ECDSA-AES128-GCM-SHA256:TLS_AES_128_GCM_SHA256"])


def optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A field that may be left out, or be null, or hold something."""
    return st.one_of(st.none(), strategy)


def part(required: Part, maybe: Part | None = None) -> st.SearchStrategy[Part]:
    return st.fixed_dictionaries(required, optional=maybe or {})


def addresses(families: tuple[int, ...] = (4, 6)) -> st.SearchStrategy[str]:
    """IP addresses of these families."""
    return st.one_of([{4: ipv4, 6: ipv6}[family] for family in families])


@st.composite
def tls_versions(draw: st.DrawFn) -> list[str]:
    """A range without gaps, as HAProxy takes them; nothing as old as SSLv3, which OpenSSL no longer has."""
    first = draw(st.integers(0, 3))
    return ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"][first : draw(st.integers(first + 1, 4))]


def member_lists_of(families: tuple[int, ...], smallest: int = 1) -> st.SearchStrategy[list[Part]]:
    """Members of these families, no two of which are the same."""
    address = addresses(families)
    members = part(
        {"address": address, "protocol_port": ports},
        {
            "name": names,
            "weight": st.integers(0, 256),
            "backup": st.booleans(),
            "admin_state_up": mostly,
            "monitor_address": optional(address),
            "monitor_port": optional(ports),
        },
    )
    return st.lists(members, min_size=smallest, max_size=5, unique_by=lambda member: (member["address"], member["protocol_port"]))


member_lists = member_lists_of((4, 6))


def reference(field: str, pool: Part) -> Part:
    """How a listener's or policy's `field` names a pool of the same document: by its id where it has one, else by its name."""
    return {f"{field}_id": pool["id"]} if "id" in pool else {field: {"name": pool["name"]}}
