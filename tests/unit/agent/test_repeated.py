"""What strangers can have happen as often as they like: lines in the log are few, nothing of it is lost, and it is not remembered for ever."""

from __future__ import annotations

from math import inf

import pytest

from agent.repeated import INTERVAL, OTHERS, SOURCES, Repeated


class Log:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str, int]] = []
        self.repeated = Repeated(lambda *line: self.lines.append(line))

    def since(self) -> list[tuple[str, str, int]]:
        told, self.lines = self.lines, []
        return told


@pytest.fixture
def log() -> Log:
    return Log()


def test_the_first_is_told_at_once_and_the_others_once_an_interval(log: Log) -> None:
    log.repeated.happened("a", "first", 0)
    assert log.since() == [("a", "first", 1)]
    for number in range(1000):
        log.repeated.happened("a", f"reason {number}", 1)
    log.repeated.happened("b", "another", 2)
    assert log.since() == [("b", "another", 1)]
    log.repeated.look(INTERVAL - 1)
    assert log.since() == []
    log.repeated.look(INTERVAL)
    assert log.since() == [("a", "reason 999", 1000)]
    log.repeated.happened("a", "again", INTERVAL + 1)
    assert log.since() == []
    log.repeated.look(2 * INTERVAL)
    assert log.since() == [("a", "again", 1)]


def test_one_that_has_been_quiet_is_told_at_once_again(log: Log) -> None:
    log.repeated.happened("a", "x", 0)
    log.repeated.happened("a", "x", INTERVAL)
    assert log.since() == [("a", "x", 1), ("a", "x", 1)]


def test_a_crowd_of_sources_is_one(log: Log) -> None:
    for number in range(10 * SOURCES):
        log.repeated.happened(f"source {number}", "x", 0)
    assert [source for source, _, _ in log.since()] == [*(f"source {number}" for number in range(SOURCES)), OTHERS]
    log.repeated.happened("source 1", "y", 1)
    log.repeated.look(INTERVAL)
    assert log.since() == [("source 1", "y", 1), (OTHERS, "x", 9 * SOURCES - 1)]
    assert len(log.repeated._sources) == 2


def test_nothing_is_lost_at_the_end(log: Log) -> None:
    for source in ("a", "a", "a", "b"):
        log.repeated.happened(source, "x", 0)
    log.since()
    log.repeated.look(inf)
    assert log.since() == [("a", "x", 2)]
    log.repeated.look(inf)
    assert log.since() == []
