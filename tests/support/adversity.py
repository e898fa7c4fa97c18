"""Fixtures: the machine that is attacked, one for all that leaves it as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.attacked import Attacked, attacked

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def everybodys() -> Iterator[Attacked]:
    """The machine itself."""
    with attacked() as machine:
        yield machine


@pytest.fixture
def machine(everybodys: Attacked) -> Iterator[Attacked]:
    """A machine that others use, too. Whatever a test does to it, it is unharmed afterwards."""
    yield everybodys
    everybodys.unharmed()


@pytest.fixture
def a_machine() -> Iterator[Attacked]:
    """A machine for one test."""
    with attacked() as machine:
        yield machine
        machine.unharmed()
