"""Which interpreter runs Octavia: this command's own where `hydria[octavia]` is installed, or one that the user names."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from typing import TYPE_CHECKING

from agent.errors import InvalidRequest

if TYPE_CHECKING:
    from pathlib import Path

_NEEDED = ("octavia", "hydria")
_LOOK = f"import importlib.util; print('lacks', *(each for each in {_NEEDED} if importlib.util.find_spec(each) is None))"


def python_with_octavia(given: Path | None) -> str:
    """Its file. Raises InvalidRequest, which says what is to be done."""
    if given is None:
        if importlib.util.find_spec("octavia") is None:
            raise InvalidRequest(
                "Octavia is not installed here: pip install 'hydria[octavia]', or name with --python (or HYDRIA_OCTAVIA_PYTHON) the interpreter "
                "of an environment that has it"
            )
        return sys.executable
    # Not resolved: the link is what makes an environment of it.
    python = str(given.absolute())
    try:
        looked = subprocess.run([python, "-c", _LOOK], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    except OSError as error:
        raise InvalidRequest(f"{python} cannot be run: {error.strerror}") from error
    said, *lacking = looked.stdout.split() or [""]
    if looked.returncode != 0 or said != "lacks":
        raise InvalidRequest(
            f"{python} is no Python that works: asked what it has, it ended with {looked.returncode} {looked.stderr.strip()[-200:]}".rstrip()
        )
    if lacking:
        raise InvalidRequest(f"{python} lacks {' and '.join(lacking)}: pip install 'hydria[octavia]' in its environment")
    return python
