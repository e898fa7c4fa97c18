"""`Trials` where it is about moments: agents that were killed between two steps, attempts that fail, clocks that jump."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from agent import trial_record
from agent.errors import InvalidRequest, SystemFault
from agent.generations import KEPT, Generations
from agent.locks import Locks
from agent.outcomes import Outcome
from agent.trial_record import Record
from agent.trials import LONGEST, Trials, seconds
from compiler.bundle import File

if TYPE_CHECKING:
    from pathlib import Path

LB = "5d2f0d3e-6c1b-4a55-8d5e-0b6b7e1b6a10"


class Clocks:
    """Both clocks, as a test sets them."""

    def __init__(self) -> None:
        self.steady, self.wall = 100.0, 5000.0

    def monotonic(self) -> float:
        return self.steady

    def sleep(self, seconds: float, /) -> None:
        self.steady += seconds

    def now(self) -> float:
        return self.wall


class Place:
    """What trials need of HAProxies: generations in a directory. `back` are those that were gone back to."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.locks = Locks()
        self.back: list[int] = []
        self.failures: list[Exception] = []

    def generations(self, _lb: str) -> Generations:
        return Generations(self.directory)

    def loadbalancers(self) -> list[str]:
        return [LB] if self.generations(LB).exists() else []

    def prepare(self, _lb: str) -> None:
        self.directory.mkdir(exist_ok=True)

    def tidy(self, _lb: str) -> None:
        pass

    def serve(self, text: str, *, rolled_back_to: int | None = None, contract: Any = "2.0") -> Outcome:
        self.prepare(LB)
        generations = self.generations(LB)
        staged = generations.stage({"haproxy.cfg": File(text.encode())}, contract, rolled_back_to=rolled_back_to)
        generations.load(staged)
        generations.commit()
        return Outcome(loadbalancer=LB, way="reload", generation=staged.number, etag=staged.about.etag)

    def go_back(self, _lb: str, number: int) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.back.append(number)
        self.serve(f"back to {number}", rolled_back_to=number)

    def served(self) -> int:
        current = self.generations(LB).linked("current")
        assert current is not None
        return current.number


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / LB)


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


def agent(place: Place, clocks: Clocks) -> Trials:
    return Trials(cast("Any", place), clocks, clocks.now)


def resumed(place: Place, clocks: Clocks) -> Trials:
    """An agent that is started where another was killed."""
    trials = agent(place, clocks)
    trials.resume()
    return trials


def test_time_passes(place: Place, clocks: Clocks) -> None:
    trials = agent(place, clocks)
    place.serve("good")
    outcome = trials.during(LB, 60, lambda: place.serve("tried"))
    assert outcome.trial is not None
    assert (outcome.trial.back_to, outcome.trial.left) == (1, 60)
    assert trials.look(place.go_back) == 60
    clocks.steady += 59
    clocks.wall += 100_000  # somebody has set it
    assert trials.look(place.go_back) == 1
    clocks.steady += 1
    assert trials.look(place.go_back) is None
    assert (place.back, trials.of(LB), trial_record.read(place.directory)) == ([1], None, None)


def test_a_failed_attempt_is_made_again_less_and_less_often(place: Place, clocks: Clocks) -> None:
    trials = agent(place, clocks)
    place.serve("good")
    trials.during(LB, 1, lambda: place.serve("tried"))
    place.failures = [SystemFault("no") for _ in range(8)]
    pauses = []
    while (left := trials.look(place.go_back)) is not None:
        pauses.append(left)
        clocks.steady += left
    assert pauses == [1, 5, 10, 20, 40, 80, 160, 300, 300]
    assert place.back == [1]


def test_a_change_that_failed_leaves_the_trial_that_was_open(place: Place, clocks: Clocks) -> None:
    trials = agent(place, clocks)

    def refuse() -> Outcome:
        raise SystemFault("no")

    place.serve("good")
    with pytest.raises(SystemFault):
        trials.during(LB, 60, refuse)
    assert trial_record.read(place.directory) is None
    trials.during(LB, 60, lambda: place.serve("tried"))
    clocks.steady += 10
    clocks.wall += 10
    for within in (90, None):
        with pytest.raises(SystemFault):
            trials.during(LB, within, refuse)
        still = trials.of(LB)
        assert still is not None
        assert (still.back_to, still.left) == (1, 50)


def test_killed_before_anything_came_to_serve(place: Place, clocks: Clocks) -> None:
    place.serve("good")
    trial_record.write(place.directory, Record(back_to=1, until=clocks.wall, within=60))
    trials = agent(place, clocks)
    assert trials.of(LB) is None
    trials = resumed(place, clocks)
    assert trials.look(place.go_back) is None
    assert (place.back, place.served()) == ([], 1)


def test_killed_when_it_had_gone_back_already(place: Place, clocks: Clocks) -> None:
    place.serve("good")
    place.serve("tried")
    trial_record.write(place.directory, Record(back_to=1, until=clocks.wall, within=60))
    place.go_back(LB, 1)
    resumed(place, clocks).look(place.go_back)
    assert (place.back, place.served()) == ([1], 3)


def test_whoever_writes_by_the_other_contract_means_it(place: Place, clocks: Clocks) -> None:
    trials = agent(place, clocks)
    place.serve("good")
    trials.during(LB, 60, lambda: place.serve("tried"))
    place.serve("by Octavia", contract="1.0")
    assert trials.of(LB) is None
    clocks.steady += 60
    assert trials.look(place.go_back) is None
    assert place.back == []


@pytest.mark.parametrize(("wall", "left"), [(5010, 50), (0, 60), (9999, 0)])
def test_the_next_agent_gives_what_is_left_and_never_more(place: Place, clocks: Clocks, wall: float, left: float) -> None:
    place.serve("good")
    agent(place, clocks).during(LB, 60, lambda: place.serve("tried"))
    later = Clocks()
    later.steady, later.wall = 1, wall
    trials = resumed(place, later)
    seen: list[float] = []
    while (remaining := trials.look(place.go_back)) is not None:
        seen.append(remaining)
        later.steady += remaining
    assert seen == ([left] if left else [])
    assert place.back == [1]


def test_what_is_to_be_gone_back_to_is_kept(place: Place, clocks: Clocks) -> None:
    trials = agent(place, clocks)
    place.serve("good")
    for number in range(2 * KEPT):
        trials.during(LB, 60, lambda number=number: place.serve(f"tried {number}"))  # type: ignore[misc] # a lambda's default
    assert place.generations(LB).numbers()[0] == 1
    trials.during(LB, None, lambda: place.serve("meant"))
    place.serve("and another")
    assert place.generations(LB).numbers()[0] != 1


@pytest.mark.parametrize("given", [0, 0.5, LONGEST + 1])
def test_a_trial_has_bounds(given: float) -> None:
    with pytest.raises(InvalidRequest, match="confirm_within"):
        seconds(given)
