"""What is handed on: a source distribution that builds with Cython, without a warning of the C compiler, and a wheel that needs no compiler."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PYX = sorted(path.stem for path in (ROOT / "fastpath").glob("*.pyx"))


def run(*command: str | Path, **environment: str) -> str:
    """What a program says, on whatever stream; a failure of it is one of the test."""
    done = subprocess.run(
        command, env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/", text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def environment(place: Path) -> Path:
    """The Python of a new virtual environment."""
    run(sys.executable, "-m", "venv", place)
    return place / "bin" / "python"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a source distribution, which was built from what is here and nothing that was made of it. Any warning in C is an error."""
    directory = tmp_path_factory.mktemp("distribution")
    made = shutil.ignore_patterns(".*", "build", "*.egg-info", "*.so", "__pycache__", "tests")
    shutil.copytree(ROOT, directory / "source", ignore=made)
    for translated in (directory / "source" / "fastpath").glob("*.c"):
        translated.unlink()
    python = environment(directory / "builder")
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    run(python, "-m", "pip", "install", "--quiet", *needed)
    build = f"import os; os.chdir({str(directory / 'source')!r}); from setuptools import build_meta as it; it.build_sdist('../sdist')"
    run(python, "-c", build)
    [sdist] = (directory / "sdist").iterdir()
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", directory / "wheel")
    run(python, "-m", "pip", "wheel", *options, sdist, CFLAGS="-Werror")
    [found] = (directory / "wheel").iterdir()
    return found


def test_a_wheel_holds_what_runs_and_nothing_that_it_was_made_of(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert sorted(name.split(".")[0] for name in names if name.endswith(".so")) == [f"fastpath/{name}" for name in PYX]
    # One is compiled where it is needed.
    assert [name for name in names if name.endswith((".c", ".pyx", ".pxd"))] == ["hydria/lab/uml_registers.c"]
    assert {f"fastpath/{name}.pyi" for name in PYX} | {"fastpath/py.typed", "compiler/py.typed"} <= set(names)
    assert {str(path.relative_to(ROOT)) for path in (ROOT / "templates").rglob("*.j2")} <= set(names)


def test_it_is_installed_without_a_compiler_and_an_extension_that_is_missing_is_an_error(wheel: Path, tmp_path: Path) -> None:
    python = environment(tmp_path / "user")
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel, PATH="", CC="/bin/false")
    look = "; ".join(f"import fastpath.{name} as m; print(m.__file__)" for name in PYX)
    files = [Path(line) for line in run(python, "-c", look).split()]
    assert all(file.suffix == ".so" and file.is_relative_to(tmp_path / "user") for file in files)
    for file, name in zip(files, PYX, strict=True):
        file.unlink()
        assert "ModuleNotFoundError" in run(
            python, "-c", f"try:\n import fastpath.{name}\nexcept ImportError as error:\n print(repr(error))"
        )
