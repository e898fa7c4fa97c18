"""Octavia's controller, once for all tests: it takes seconds to start. A test module asks for these with `pytest_plugins`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from octavia_process import Controller, Octavia
from support.namespaces import Namespace


@pytest.fixture(scope="session")
def directory() -> Iterator[Path]:
    """A directory whose name is short: sockets will be in it."""
    with tempfile.TemporaryDirectory(prefix="hydria-") as made:
        yield Path(made)


@pytest.fixture(scope="session")
def controller(directory: Path) -> Iterator[Controller]:
    """Octavia on a machine of its own."""
    with Namespace("controller") as machine:
        with machine.entered():
            octavia = Octavia(directory / "octavia")
        with octavia:
            yield Controller(machine, octavia)
