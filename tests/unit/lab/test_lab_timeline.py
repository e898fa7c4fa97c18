"""What is made of requests: counts, times, and a picture."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from hydria.lab.load import Result, outage, silence, summary
from hydria.lab.timeline import Event, svg

#: Answered by a until 1.0; from then on in vain until 1.3; then by b.
RESULTS = [
    *(Result(n / 10, n / 10 + 0.01, "", "a", "m0") for n in range(10)),
    Result(0.99, 1.5, "broken off", "", ""),
    Result(1.1, 2.15, "", "b", "m1"),
    Result(1.2, 2.25, "", "b", "m1"),
    *(Result(1.3 + n / 10, 1.31 + n / 10, "", "b", "m1") for n in range(12)),
]


def test_a_summary_counts_everything_once() -> None:
    found = summary(RESULTS)
    assert (found.requests, found.failed, found.errors, found.by) == (25, 1, {"broken off": 1}, {"a": 10, "b": 14})
    assert (round(found.longest_gap, 3), round(found.gap_began, 3), round(found.slowest, 3)) == (0.4, 0.91, 1.05)
    assert summary([]).longest_gap == 0.0


def test_how_long_nobody_answered() -> None:
    assert round(silence(RESULTS, 0.95).seconds, 3) == 0.31
    assert silence(RESULTS, 1.3) == (1.3, 1.3)
    assert round(silence(RESULTS[:13], 0.95).seconds, 3) == 0.21
    assert round(outage(RESULTS, 1.0) or 0, 3) == 0.31
    assert outage(RESULTS, 99) is None


def test_the_picture_shows_what_was_seen() -> None:
    drawn = svg("a <failover>", RESULTS, [Event(1.0, "a & b"), Event(77.0, "later")])
    assert drawn == svg("a <failover>", RESULTS, [Event(1.0, "a & b"), Event(77.0, "later")])
    root = ET.fromstring(drawn)
    kinds = [one.get("class") for one in root.iter()]
    texts = [one.text for one in root.iter() if one.text]
    assert kinds.count("error") == 1
    assert kinds.count("answer") == len({int(one.ended / 0.01) for one in RESULTS if not one.error})
    assert kinds.count("event") == 1
    assert {"a <failover>", "1.00 s: a & b", "a", "b"} <= set(texts)


def test_nothing_can_be_drawn_too() -> None:
    ET.fromstring(svg("nothing", [], []))
