"""Waiting ends with the condition or with the deadline, whichever comes first."""

from __future__ import annotations

from agent.clock import wait_until


class HandClock:
    """Time passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float, /) -> None:
        assert seconds > 0
        self.now += seconds


def test_a_condition_that_holds_costs_no_time() -> None:
    clock = HandClock()
    assert wait_until(lambda: True, 0, clock)
    assert clock.now == 100.0


def test_waiting_ends_when_the_condition_comes_to_hold() -> None:
    clock = HandClock()
    assert wait_until(lambda: clock.now >= 103, 10, clock)
    assert 103 <= clock.now < 103.1


def test_waiting_ends_at_the_deadline_with_a_last_look() -> None:
    clock = HandClock()
    looks: list[float] = []

    def look() -> bool:
        looks.append(clock.now)
        return False

    assert not wait_until(look, 5, clock)
    assert looks[0] == 100
    assert abs(looks[-1] - 105) < 1e-6
