from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from agent.configuration import Configuration, directory
from agent.errors import NotFoundError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    return Configuration(tmp_path / "haproxy.cfg")


def names(configuration: Configuration) -> list[str]:
    return sorted(path.name for path in configuration.current.parent.iterdir())


def served(configuration: Configuration, text: bytes) -> None:
    configuration.upload(text)
    configuration.take()
    configuration.keep()


def test_the_first_is_in_place_at_once(configuration: Configuration) -> None:
    assert not configuration.exists()
    with pytest.raises(NotFoundError):
        configuration.text()
    configuration.upload(b"first")
    assert configuration.exists()
    assert configuration.current.read_bytes() == configuration.text() == b"first"
    assert configuration.current.stat().st_mode & 0o777 == 0o600
    assert not configuration.take()
    assert not configuration.undecided()
    assert not configuration.give_back()
    assert names(configuration) == ["haproxy.cfg"]


def test_another_waits_until_it_is_taken(configuration: Configuration) -> None:
    served(configuration, b"first")
    configuration.upload(b"second")
    assert (configuration.text(), configuration.current.read_bytes()) == (b"second", b"first")
    assert configuration.take()
    assert (configuration.text(), configuration.current.read_bytes()) == (b"second", b"second")
    assert configuration.undecided()
    configuration.keep()
    assert not configuration.undecided()
    assert names(configuration) == ["haproxy.cfg"]


def test_what_is_refused_gives_way_to_what_served(configuration: Configuration) -> None:
    served(configuration, b"first")
    configuration.upload(b"second")
    configuration.take()
    assert configuration.give_back()
    assert configuration.text() == configuration.current.read_bytes() == b"first"
    assert not configuration.undecided()
    assert (configuration.current.parent / "haproxy.cfg.refused").read_bytes() == b"second"


def test_what_nobody_decided_about_is_not_what_is_given_back(configuration: Configuration) -> None:
    served(configuration, b"first")
    configuration.upload(b"second")
    configuration.take()
    configuration.upload(b"third")
    configuration.take()
    assert configuration.undecided()
    assert configuration.give_back()
    assert configuration.current.read_bytes() == b"first"


def test_the_same_again_is_nothing_new(configuration: Configuration) -> None:
    served(configuration, b"first")
    configuration.upload(b"second")
    configuration.upload(b"first")
    assert configuration.text() == b"first"
    assert not configuration.take()


def test_nothing_is_left(configuration: Configuration) -> None:
    served(configuration, b"first")
    configuration.upload(b"second")
    configuration.take()
    configuration.upload(b"third")
    configuration.refuse(b"fourth")
    configuration.remove()
    assert names(configuration) == []
    configuration.remove()


def test_what_a_removal_that_was_cut_short_has_left_is_not_there(configuration: Configuration) -> None:
    served(configuration, b"first")
    configuration.upload(b"second")
    configuration.take()
    configuration.upload(b"third")
    configuration.current.unlink()
    with pytest.raises(NotFoundError):
        configuration.text()
    configuration.upload(b"fourth")
    assert configuration.text() == configuration.current.read_bytes() == b"fourth"
    assert not configuration.take()
    assert not configuration.undecided()


@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_directories_are_as_they_shall_be_whatever_the_umask(tmp_path: Path, mode: int) -> None:
    before = os.umask(0o077)
    try:
        made = directory(tmp_path / "a" / "b", mode)
        assert made == directory(made)
    finally:
        os.umask(before)
    assert (made.stat().st_mode & 0o777, made.parent.stat().st_mode & 0o777) == (mode, 0o755)
