"""What Octavia's API refuses of a health monitor and of an L7 rule, because the compiler would."""

from __future__ import annotations

from typing import Any

import pytest

from hydria.octavia import refusals


def monitor(**changed: Any) -> dict[str, Any]:
    """As Octavia's provider drivers are told of one; what is not about checking is among it."""
    http = {"http_method": "GET", "http_version": None, "url_path": "/", "expected_codes": "200", "domain_name": None}
    common = {"healthmonitor_id": "0", "pool_id": "1", "project_id": "2", "name": "it's", "admin_state_up": True}
    return {"type": "HTTP", "delay": 5, "timeout": 4, "max_retries": 2, "max_retries_down": 3, **common, **http, **changed}


def rule(**changed: Any) -> dict[str, Any]:
    common = {"l7rule_id": "0", "l7policy_id": "1", "project_id": "2", "admin_state_up": True}
    return {"type": "PATH", "compare_type": "EQUAL_TO", "key": None, "value": "/shop", "invert": False, **common, **changed}


@pytest.mark.parametrize(
    "changed", [{}, {"http_version": 1.1, "domain_name": "shop.example"}, {"type": "PING"}, {"expected_codes": "200-204"}]
)
def test_a_monitor_that_can_be_is_not_refused(changed: dict[str, Any]) -> None:
    assert refusals.of_monitor(monitor(**changed), "HTTP") == []


@pytest.mark.parametrize(
    ("changed", "protocol", "told"),
    [
        ({"timeout": 5}, "HTTP", ["timeout: timeout 5 s with delay 5 s given; the timeout must be smaller"]),
        ({"delay": 0}, "HTTP", ["delay: 0 given; allowed: a whole number from 1 to 2147483"]),
        ({"url_path": "/a b"}, "HTTP", ["url_path: '/a b' given; a path begins with / and holds no spaces (write %20)"]),
        ({"type": "UDP-CONNECT", "delay": 5000}, "UDP", ["delay: 5000 s given; keepalived's timers hold 4294 s"]),
    ],
)
def test_one_that_cannot_is_refused_with_the_compilers_words(changed: dict[str, Any], protocol: str, told: list[str]) -> None:
    assert refusals.of_monitor(monitor(**changed), protocol) == told


@pytest.mark.parametrize("changed", [{}, {"type": "HEADER", "key": "X-Shop"}, {"compare_type": "REGEX", "value": "^/a"}])
def test_a_rule_that_can_be_is_not_refused(changed: dict[str, Any]) -> None:
    assert refusals.of_rule(rule(**changed), "HTTP") == []


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (
            {"type": "SSL_CONN_HAS_CERT", "value": "true"},
            ["type: SSL_CONN_HAS_CERT needs a TERMINATED_HTTPS listener; this one is HTTP"],
        ),
        ({"value": "/a\nb"}, ["value: '/a\\nb' given: it holds the control character '\\n' at position 3"]),
    ],
)
def test_one_that_cannot_is_refused(changed: dict[str, Any], told: list[str]) -> None:
    assert refusals.of_rule(rule(**changed), "HTTP") == told
