"""Statuses and numbers of the status page as people read them, and the line of what went on lately."""

from __future__ import annotations

import pytest

from hydria.web import chart, words


@pytest.mark.parametrize(
    ("value", "unit", "told"),
    [
        (0, "", "0"),
        (0.0, "B/s", "0 B/s"),
        (0.518, "", "0.52"),
        (9.999, "", "10.0"),
        (17.34, "", "17.3"),
        (100.4, "", "100"),
        (999.4, "", "999"),
        (999.6, "", "1.00 k"),
        (1234, "B/s", "1.23 kB/s"),
        (2_500_000, "B/s", "2.50 MB/s"),
        (7.2e13, "B/s", "72000 GB/s"),
    ],
)
def test_numbers(value: float, unit: str, told: str) -> None:
    assert words.number(value, unit) == told


@pytest.mark.parametrize(("share", "told"), [(0.0, "0.0%"), (0.00001, "0.001%"), (0.25, "25.0%"), (0.9999, "99.990%"), (1.0, "100.0%")])
def test_shares(share: float, told: str) -> None:
    assert words.percent(share) == told


@pytest.mark.parametrize(("milliseconds", "told"), [(0.4, "0 ms"), (31.0, "31 ms"), (1520.0, "1.5 s")])
def test_durations(milliseconds: float, told: str) -> None:
    assert words.duration(milliseconds) == told


@pytest.mark.parametrize(
    ("said", "members", "status"),
    [
        ("UP", ["ONLINE", "ONLINE"], "ONLINE"),
        ("UP", ["ONLINE", "ERROR"], "DEGRADED"),
        ("UP", ["ONLINE", "DRAINING"], "ONLINE"),
        ("UP", ["NO_MONITOR"], "ONLINE"),
        ("DOWN", ["ERROR", "OFFLINE"], "ERROR"),
        ("DOWN", ["OFFLINE"], "OFFLINE"),
        ("DOWN", ["DRAINING"], "ERROR"),
        ("DOWN", [], "OFFLINE"),
    ],
)
def test_pools(said: str, members: list[str], status: str) -> None:
    assert words.pool(said, members) == status


@pytest.mark.parametrize(
    ("said", "pools", "status"),
    [
        ("OPEN", [], "ONLINE"),
        ("OPEN", ["ERROR"], "DEGRADED"),
        ("FULL", ["ONLINE"], "DEGRADED"),
        ("STOP", ["ERROR"], "OFFLINE"),
        ("", [], "OFFLINE"),
    ],
)
def test_listeners(said: str, pools: list[str], status: str) -> None:
    assert words.listener(said, pools) == status


def test_members() -> None:
    said = ("UP", "DOWN", "DOWN (agent)", "DRAIN", "MAINT", "MAINT (resolution)", "no check", "new word")
    assert [words.member(each) for each in said] == ["ONLINE", "ERROR", "ERROR", "DRAINING", "OFFLINE", "OFFLINE", "NO_MONITOR", "new word"]


def test_a_line_ends_at_the_right_and_is_as_high_as_there_is_room() -> None:
    [points] = chart.lines([0.0, 5.0, 10.0])
    assert points == "173.9,27.0 176.9,14.0 180.0,1.0"


def test_a_line_has_gaps_where_nothing_is_known_and_forgets_what_is_long_ago() -> None:
    assert [len(each.split()) for each in chart.lines([1.0, 1.0, None, 2.0, 2.0, 2.0, None, 1.0])] == [2, 3]
    assert [len(each.split()) for each in chart.lines([9.0] * 100)] == [60]
    assert chart.lines([]) == []
    assert chart.lines([0.0, 0.0]) == ["176.9,27.0 180.0,27.0"]
