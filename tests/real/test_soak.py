"""A load balancer that is changed all the time, under load: nobody notices, and nothing grows."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.soak import quarter, soaked


def nobody_notices(seen: dict[str, Any]) -> None:
    assert seen["ways"] == {"runtime": seen["changes"]}, seen["reasons"]
    assert seen["requests"] > 10 * seen["changes"], seen["wrk"]
    assert seen["failed"] == 0, seen["wrk"]
    assert seen["long"]["echoes"] > seen["long"]["opened"] > 0
    assert (seen["long"]["broken"], seen["long"]["failed"]) == (0, 0), seen["long"]
    assert {look["workers"] for look in seen["looks"]} == {1}


def test_changes_under_load_fail_no_request_and_break_no_connection() -> None:
    nobody_notices(soaked("commands", 60))


@pytest.mark.slow
def test_a_thousand_changes_under_load_fail_no_request_and_nothing_grows() -> None:
    seen = soaked("commands", 1000)
    nobody_notices(seen)
    # MB; what comes and goes with the connections of a moment.
    for of, varies in (("haproxy_mb", 5), ("agent_mb", 3)):
        assert quarter(seen, of) - quarter(seen, of, last=False) < varies, [look[of] for look in seen["looks"]]


def test_reloads_under_load_fail_no_request_but_leave_workers() -> None:
    """What the other is measured beside: if the load could not tell, it would be worth nothing."""
    seen = soaked("reloads", 10)
    assert seen["ways"] == {"reload": 10}
    assert seen["failed"] == 0, seen["wrk"]
    assert max(look["workers"] for look in seen["looks"]) > 1
