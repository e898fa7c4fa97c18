from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent.errors import NotFoundError
from agent.generations import KEPT, Generations
from compiler.bundle import File

if TYPE_CHECKING:
    from pathlib import Path

    from agent.generations import Generation


@pytest.fixture
def steps() -> list[str]:
    return []


@pytest.fixture
def generations(tmp_path: Path, steps: list[str]) -> Generations:
    return Generations(tmp_path / "lb", steps.append)


def stage(generations: Generations, text: str) -> Generation:
    return generations.stage({"haproxy.cfg": File(text.encode()), "certs/a.pem": File(b"key", 0o600, secret=True)}, "2.0")


def served(generations: Generations, text: str) -> Generation:
    staged = stage(generations, text)
    generations.load(staged)
    generations.commit(b'{"way": "start"}')
    return staged


def linked(generations: Generations) -> tuple[int, int, int]:
    found = [generations.linked(link) for link in ("loading", "current", "uploaded")]
    one, two, three = (generation.number if generation else 0 for generation in found)
    return one, two, three


def test_what_is_staged_is_whole_and_nothing_leads_to_it(generations: Generations) -> None:
    one = stage(generations, "first")
    assert (one.number, one.about.contract, one.read("haproxy.cfg")) == (1, "2.0", b"first")
    assert one.files() == {"haproxy.cfg": File(b"first"), "certs/a.pem": File(b"key", 0o600, secret=True)}
    assert (one.path / "certs/a.pem").stat().st_mode & 0o777 == 0o600
    assert one.path.parent.stat().st_mode & 0o777 == 0o700
    assert not generations.exists()
    assert linked(generations) == (0, 0, 0)
    with pytest.raises(NotFoundError):
        _ = generations.latest


def test_the_first_that_is_uploaded_is_loaded_at_once_and_another_waits(generations: Generations) -> None:
    generations.upload(stage(generations, "first"))
    assert linked(generations) == (1, 0, 0)
    assert not generations.undecided()
    generations.commit()
    generations.upload(stage(generations, "second"))
    assert linked(generations) == (1, 1, 2)
    assert generations.latest.number == 2
    generations.load(generations.latest)
    assert generations.undecided()
    generations.commit()
    assert linked(generations) == (2, 2, 0)


def test_what_does_not_serve_gives_way_to_what_did(generations: Generations) -> None:
    served(generations, "first")
    generations.upload(stage(generations, "second"))
    generations.load(generations.latest)
    given_back = generations.give_back("no such port")
    assert given_back is not None
    assert given_back.number == 1
    assert linked(generations) == (1, 1, 0)
    assert generations.get(2).read("refused") == b"no such port"
    assert generations.give_back("again") is None


def test_nothing_is_given_back_before_something_has_served(generations: Generations) -> None:
    generations.upload(stage(generations, "first"))
    assert generations.give_back("no") is None
    assert linked(generations) == (1, 0, 0)


def test_two_that_say_the_same_have_the_same_digest_and_never_the_same_etag(generations: Generations) -> None:
    one, two, three = served(generations, "first"), stage(generations, "first"), stage(generations, "third")
    assert one.about.digest == two.about.digest != three.about.digest
    assert len({one.about.etag, two.about.etag, three.about.etag}) == 3
    assert generations.same_as_current(two) == one
    assert generations.same_as_current(three) == three


def test_the_one_before_is_the_last_that_served_and_says_something_else(generations: Generations) -> None:
    served(generations, "first")
    with pytest.raises(NotFoundError):
        generations.previous()
    stage(generations, "never served")
    served(generations, "second")
    served(generations, "second")
    assert generations.previous().number == 1


def test_some_are_kept_and_those_in_use_in_any_case(generations: Generations) -> None:
    served(generations, "first")
    for number in range(KEPT + 5):
        generations.refuse(stage(generations, str(number)), "no")
    assert generations.numbers() == [1, *range(7, KEPT + 7)]
    assert linked(generations) == (1, 1, 0)


def test_leftovers_of_a_crash_are_cleaned_away(generations: Generations) -> None:
    one = stage(generations, "first")
    torn = one.path.parent / ".torn.new"
    torn.mkdir()
    stage(generations, "second")
    assert not torn.exists()


def test_every_step_is_told(generations: Generations, steps: list[str]) -> None:
    served(generations, "first")
    generations.upload(stage(generations, "second"))
    generations.load(generations.latest)
    generations.give_back("no")
    assert steps == [
        *("staged", "loading", "outcome kept", "current", "committed"),
        *("staged", "uploaded", "loading", "refused", "loading the old one", "given back"),
    ]


def test_what_is_only_looked_at_leaves_nothing(generations: Generations, steps: list[str]) -> None:
    staged = generations.stage({"haproxy.cfg": File(b"x")}, "2.0", passing=True)
    generations.discard(staged)
    assert (generations.numbers(), steps) == ([], [])


def test_what_is_in_use_cannot_be_discarded(generations: Generations) -> None:
    one = served(generations, "first")
    generations.discard(one)
    assert generations.loading == one


def test_nothing_is_left(generations: Generations) -> None:
    served(generations, "first")
    generations.upload(stage(generations, "second"))
    generations.remove()
    assert list(generations.place.iterdir()) == []
    generations.remove()
