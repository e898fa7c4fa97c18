"""The image that is tested: that of this checkout, or the one that HYDRIA_IMAGE names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.agents import Trust
from support.uml_guests import prepare

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def image() -> Path:
    found = Path(os.environ.get("HYDRIA_IMAGE") or ROOT / "build" / "images" / "hydria-debian-13.qcow2")
    assert found.exists(), f"{found} is not there; images/build makes it (so does make test-image)"
    return found.resolve()


@pytest.fixture(scope="session")
def trust() -> Trust:
    return Trust()


@pytest.fixture(scope="session")
def disk(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for user-mode Linux."""
    return prepare(image, tmp_path_factory.mktemp("uml"))
