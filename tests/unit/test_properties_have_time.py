"""No property fails because the machine that it is shown on is busy."""

from __future__ import annotations

from hypothesis import HealthCheck, settings


def test_an_example_may_take_as_long_as_it_does() -> None:
    now = settings()
    assert now.deadline is None
    assert HealthCheck.too_slow in now.suppress_health_check
