"""The images that are tested: those of this checkout, or those that HYDRIA_IMAGE and HYDRIA_SSH_IMAGE name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.agents import Trust
from support.guests import Guest, with_shell
from support.uml_guests import UmlGuest, prepare

if TYPE_CHECKING:
    from site_around import Site
    from support.machines import Machine

ROOT = Path(__file__).parents[2]


def _found(variable: str, name: str) -> Path:
    found = Path(os.environ.get(variable) or ROOT / "build" / "images" / name)
    assert found.exists(), f"{found} is not there; images/build makes it (so does make test-image)"
    return found.resolve()


@pytest.fixture(scope="session")
def image() -> Path:
    return _found("HYDRIA_IMAGE", "hydria-debian-13.qcow2")


@pytest.fixture(scope="session")
def ssh_image() -> Path:
    """One with sshd."""
    return _found("HYDRIA_SSH_IMAGE", "hydria-debian-13-ssh.qcow2")


@pytest.fixture(scope="session")
def trust() -> Trust:
    return Trust()


@pytest.fixture(scope="session")
def disk(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for user-mode Linux."""
    return prepare(image, tmp_path_factory.mktemp("uml"))


@pytest.fixture(scope="session")
def emulated(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for QEMU."""
    return with_shell(image, tmp_path_factory.mktemp("qemu"))


class Machines:
    """Makes machines, by kind: `uml` or `qemu`."""

    def __init__(self, request: pytest.FixtureRequest, trust: Trust, places: pytest.TempPathFactory) -> None:
        self._request, self._trust, self._places = request, trust, places

    def make(self, kind: str, site: Site, name: str, number: int, topology: str = "SINGLE") -> Machine:
        """One that has not been switched on; on the management network of `site` it is this number, where that is the site's."""
        place = self._places.mktemp(name)
        # A disk is made for the kind that is asked for.
        if kind == "qemu":
            return Guest(place, self._request.getfixturevalue("emulated"), self._trust, name, topology=topology)
        disk = self._request.getfixturevalue("disk")
        return UmlGuest(place, disk, self._trust, name, cloud=site.cloud, address=f"172.16.0.{number}", topology=topology)


@pytest.fixture(scope="session")
def machines(request: pytest.FixtureRequest, trust: Trust, tmp_path_factory: pytest.TempPathFactory) -> Machines:
    return Machines(request, trust, tmp_path_factory)
