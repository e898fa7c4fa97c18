"""Which interpreter runs Octavia: this command's own where `hydria[octavia]` is installed, or one that the user names."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from types import MappingProxyType
from typing import TYPE_CHECKING

from agent.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: Module → what has it.
_ALWAYS = {"octavia": "'hydria[octavia]'", "hydria": "'hydria[octavia]'"}
_LOOK = "import importlib.util, sys; print('lacks', *(each for each in sys.argv[1:] if importlib.util.find_spec(each) is None))"


def python_with_octavia(given: Path | None, more: Mapping[str, str] = MappingProxyType({})) -> str:
    """Its file. `more`: modules that it is to have besides → what is to be installed for each. Raises InvalidRequest, which says what is to be done."""
    if given is None and importlib.util.find_spec("octavia") is None:
        raise InvalidRequest(
            "Octavia is not installed here: pip install 'hydria[octavia]', or name with --python (or HYDRIA_OCTAVIA_PYTHON) the interpreter "
            "of an environment that has it"
        )
    # Not resolved: the link is what makes an environment of it.
    python = sys.executable if given is None else str(given.absolute())
    needed = {**_ALWAYS, **more}
    try:
        looked = subprocess.run([python, "-c", _LOOK, *needed], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    except OSError as error:
        raise InvalidRequest(f"{python} cannot be run: {error.strerror}") from error
    said, *lacking = looked.stdout.split() or [""]
    if looked.returncode != 0 or said != "lacks":
        raise InvalidRequest(
            f"{python} is no Python that works: asked what it has, it ended with {looked.returncode} {looked.stderr.strip()[-200:]}".rstrip()
        )
    if lacking:
        packages = " ".join(dict.fromkeys(needed[each] for each in lacking))
        raise InvalidRequest(f"{python} lacks {' and '.join(lacking)}: pip install {packages} in its environment")
    return python
