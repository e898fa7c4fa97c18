"""Rules with hostile values, in a running HAProxy, decide as the same comparisons do on plain bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hostile
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.graphs import listener, policy, rule
from support.serving import serve

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.haproxy import Haproxy

#: What each comparison means.
COMPARISONS: dict[str, Callable[[bytes, bytes], bool]] = {
    "EQUAL_TO": lambda value, pattern: value == pattern,
    "STARTS_WITH": lambda value, pattern: value.startswith(pattern),
    "ENDS_WITH": lambda value, pattern: value.endswith(pattern),
    "CONTAINS": lambda value, pattern: pattern in value,
}

# A header's value has no blanks at its ends (RFC 9110 5.5); commas separate several.
_pieces = st.sampled_from([piece for piece in hostile.PIECES if hostile.expressible(piece) and "," not in piece])
header_values = st.lists(_pieces, min_size=1, max_size=4).map(lambda pieces: "".join(pieces).strip(" ") or "-")


@pytest.mark.parametrize("comparison", COMPARISONS)
@given(st.lists(header_values, min_size=20, max_size=30), st.lists(header_values, min_size=10, max_size=20))
@settings(max_examples=3, deadline=None, database=None, suppress_health_check=list(HealthCheck))
def test_a_header_is_compared_as_bytes_are(haproxy: Haproxy, comparison: str, patterns: list[str], others: list[str]) -> None:
    holds = COMPARISONS[comparison]
    policies = [
        policy("REDIRECT_TO_URL", rule("HEADER", comparison, pattern, key="X-Value"), redirect_url=f"http://m.example/{number}")
        for number, pattern in enumerate(patterns)
    ]
    around = [text for pattern in patterns for text in (pattern, f"<{pattern}", f"{pattern}>", f"<{pattern}>")]
    with serve(haproxy, [listener("values", None, *policies)]) as serving:
        for value in [*around, *others]:
            expected = next((number for number, pattern in enumerate(patterns) if holds(value.encode(), pattern.encode())), None)
            answer = serving.fetch("values", headers={"X-Value": value})
            assert answer.location == (None if expected is None else f"http://m.example/{expected}"), value
