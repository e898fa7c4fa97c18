"""The stubs tell what the extensions have: names, parameters, defaults."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

#: What stubtest cannot know of Cython: names of its own, and Literals, which it takes for unions.
ALLOWED = r"""
fastpath\.\w+\.__(pyx_capi|reduce_cython|setstate_cython|test)__
fastpath\.hashing\.(Function|HashKey|IdBase|Key)
"""

MODULES = sorted(path.stem for path in (Path(__file__).parents[3] / "fastpath").glob("*.pyx"))


@pytest.mark.parametrize("module", MODULES)
def test_a_stub_tells_what_its_extension_has(module: str, tmp_path: Path) -> None:
    (tmp_path / "allowed").write_text(ALLOWED)
    finished = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "--allowlist", tmp_path / "allowed", "--ignore-unused-allowlist", f"fastpath.{module}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
